"""The federation's server in Flower: federated averaging, and a table of sites, Dice and bytes per round.

The server needs no scans and no bundle: it averages named arrays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from uniseg_nets.io.files import write_json
from uniseg_nets.weights.checkpoints import read_state, save_weights
from uniseg_nets.weights.licence import terms_of
from uniseg_nets.weights.trained_task import task_of

__all__ = ["RecordedFedAvg", "app"]

logger = logging.getLogger("flwr")

app = ServerApp()


class RecordedFedAvg(FedAvg):
    """Flower's ``FedAvg`` that writes each round's weights and figures into a folder.

    Files: ``final.pt`` after each round, ``best.pt`` of the best mean Dice so far, and ``rounds.json``, a list of
    rounds with the sites that answered, their Dice, and the bytes of the arrays that went down and up.

    Args:
        folder: the folder.
        terms: licence terms of the weights, for the files beside them, see :mod:`uniseg_nets.weights.licence`.
        task: of a fine-tuning, its task, for the same, see :func:`~uniseg_nets.weights.trained_task.task_of`.
        sizes: as for ``FedAvg``.
    """

    def __init__(
        self, folder: Path, terms: str | None = None, task: Mapping[str, Any] | None = None, **sizes: Any
    ) -> None:
        super().__init__(**sizes)
        self.terms = terms
        self.task = task
        self.folder = folder
        self.rounds: list[dict[str, Any]] = []
        self.arrays = ArrayRecord()

    def _save(self, arrays: ArrayRecord, name: str) -> None:
        save_weights(arrays.to_torch_state_dict(), self.folder / name, terms=self.terms, task=self.task)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Sends the weights to the sites for their training."""
        self.arrays = arrays
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self.rounds.append({"round": server_round, "asked": len(messages), "bytes_down": 0, "bytes_up": 0})
        self.rounds[-1]["bytes_down"] += len(messages) * arrays.count_bytes()
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Averages the weights of the sites that answered."""
        replies = list(replies)
        arrays, metrics = super().aggregate_train(server_round, replies)
        answers = [reply.content for reply in replies if not reply.has_error()]
        self.rounds[-1]["trained"] = sorted(str(one["site"]["name"]) for one in answers)
        self.rounds[-1]["bytes_up"] = sum(one["arrays"].count_bytes() for one in answers)
        if arrays is not None:
            self.arrays = arrays
            self._save(arrays, "final.pt")
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Sends the averaged weights to the sites for their evaluation."""
        messages = list(super().configure_evaluate(server_round, arrays, config, grid))
        self.rounds[-1]["bytes_down"] += len(messages) * arrays.count_bytes()
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Averages the Dice of the sites, and writes the round's line."""
        replies = list(replies)
        metrics = super().aggregate_evaluate(server_round, replies)
        now = self.rounds[-1]
        answers = [reply.content for reply in replies if not reply.has_error()]
        now["dice"] = {str(one["site"]["name"]): float(one["metrics"]["val_mean_dice"]) for one in answers}
        now["mean_dice"] = None if metrics is None else float(metrics["val_mean_dice"])
        earlier = [one["mean_dice"] for one in self.rounds[:-1] if one["mean_dice"] is not None]
        if now["mean_dice"] is not None and now["mean_dice"] >= max(earlier, default=0.0):
            self._save(self.arrays, "best.pt")
        write_json(self.folder / "rounds.json", self.rounds)
        logger.info(
            "round %d: trained %s; %d bytes down, %d bytes up; Dice %s",
            *(server_round, ", ".join(now["trained"]) or "nowhere", now["bytes_down"], now["bytes_up"]),
            ", ".join(f"{name} {dice:.4f}" for name, dice in sorted(now["dice"].items())) or "unknown",
        )
        return metrics


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Runs the federation with the values of the app's ``pyproject.toml`` or of ``flwr run --run-config``."""
    config = context.run_config
    rounds, sites = int(config["rounds"]), int(config["min-sites"])
    folder = Path(str(config["output"])).absolute()
    if (folder / "rounds.json").exists():
        raise ValueError(f"{folder} has the rounds and weights of an earlier federation: name another folder by output")
    weights, _ = read_state(str(config["initial"]))
    terms, task = terms_of(str(config["initial"])), task_of(str(config["initial"]))
    least = {"min_train_nodes": sites, "min_evaluate_nodes": sites, "min_available_nodes": sites}
    strategy = RecordedFedAvg(folder, terms, task, **least)
    strategy.start(
        grid,
        ArrayRecord(weights),
        num_rounds=rounds,
        timeout=float(config["timeout"]),
        train_config=ConfigRecord({"rounds": rounds}),
    )
