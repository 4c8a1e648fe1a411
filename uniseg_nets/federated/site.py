"""A site of a federation: its settings, and the rounds that it trains and evaluates.

A round may run in a process of its own: everything that lasts lies in files of the site's folder.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
from torch import Tensor

from uniseg_nets.federated.exchange import Travelling
from uniseg_nets.io.bundles import bundle_root, config_file
from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.io.messages import did_you_mean
from uniseg_nets.ranks import unwrapped
from uniseg_nets.weights.checkpoints import read_state, save_weights
from uniseg_nets.weights.freezing import check_parts
from uniseg_nets.weights.trained_task import refuse_other_task, trained_task

__all__ = ["Site", "SiteSettings", "load_site"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SiteSettings:
    """What a site says about itself, in its own file. Nothing of it comes from the server.

    Attributes:
        name: name of the site in logs and tables.
        folder: folder of the site's own files: weights, cache, logs.
        bundle: a bundle of this distribution by name, or a bundle's folder.
        configs: the training's config files, later ones over earlier ones; names of the bundle's ``configs``, or paths.
        values: values of the configs, such as ``dataset_dir``, as on the command line of a training.
        travels: what travels, see :class:`~uniseg_nets.federated.Travelling`.
        private: parts that the site trains and never sends.
        local_epochs: epochs per round.
    """

    name: str
    folder: Path
    bundle: str = "uniseg_upstream"
    configs: Sequence[str] = ("train.json",)
    values: Mapping[str, Any] = field(default_factory=dict)
    travels: str = "everything"
    private: Sequence[str] = ()
    local_epochs: int = 1

    def __post_init__(self) -> None:
        if self.local_epochs < 1:
            raise ValueError(f"local_epochs is {self.local_epochs}: expected 1 or more")
        Travelling(self.travels, self.private)


def load_site(path: str | PathLike[str]) -> SiteSettings:
    """Reads a site's settings from its JSON file. A relative ``folder`` is relative to the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON object, an entry is unknown, missing or of a wrong value.
    """
    path = Path(path)
    content = read_json(path)
    known = [entry.name for entry in dataclasses.fields(SiteSettings)]
    if not {"name", "folder"} <= content.keys():
        raise ValueError(f"{path} is no site: expected an object with name and folder, and perhaps {', '.join(known)}")
    for entry in content.keys() - set(known):
        raise ValueError(f"{path} has {entry!r}: {did_you_mean(entry, known)}expected {', '.join(known)}")
    return SiteSettings(**content | {"folder": (path.parent / content["folder"]).absolute()})


class Site:
    """Rounds of a site by MONAI's client ``MonaiAlgo``.

    The learning rate follows the bundle's own schedule over all rounds. The optimiser starts anew in every round, as in
    federated averaging. Each round draws other patches. Of the networks that the site evaluated, its folder has the
    best one, ``models/model.pt``, and the last one, ``models/model_final.pt``, both with the private part. Beside each
    file are its terms and, of a bundle for one task, this task.

    Args:
        settings: the site's settings.

    Attributes:
        terms: licence terms of the weights that the site's bundle starts with; ``None`` if none are known.
        task: the task of a fine-tuning, see :func:`~uniseg_nets.weights.trained_task.trained_task`; ``None`` before the
            site built its network, and for a network of a whole table.
        evaluated: case -> mean Dice over its classes, of the last evaluation.
    """

    def __init__(self, settings: SiteSettings) -> None:
        self.settings = settings
        self.evaluated: dict[str, float] = {}
        self.terms: str | None = None
        self.task: dict[str, Any] | None = None
        self.travelling = Travelling(settings.travels, settings.private)
        self._bundle = bundle_root(settings.bundle)
        self._models = settings.folder / "models"
        self._private = self._models / "private.pt"

    def initial(self) -> dict[str, Tensor]:
        """The tensors that travel before the first round, for the server.

        Raises:
            ValueError: the network lacks a private part.
        """
        return self.travelling.chosen(_network(self._client(1, 1, train=True).trainer).state_dict())

    def train(
        self, weights: Mapping[str, Tensor], number: int, rounds: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Trains one round.

        Args:
            weights: the server's tensors.
            number: the round, from 1.
            rounds: number of all rounds.

        Returns:
            The tensors that travel, on the CPU, and figures: ``num-examples``, and ``val_mean_dice`` after the local
            training.

        Raises:
            ValueError: the site has no validation cases.
        """
        if number == 1 and self._private.is_file():
            logger.warning(
                "%s is the private part of an earlier federation, and this one starts from it: for a new experiment "
                "name another folder in site.json",
                self._private,
            )
        client = self._client(number, rounds, train=True)
        workflow = _parser(client.train_workflow)
        workflow.get_parsed_content("lr_scheduler").load_state_dict(
            {"epochs": (number - 1) * self.settings.local_epochs}
        )
        network = _network(client.trainer)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(self.travelling.trained(name))
        client.train(ExchangeObject(weights=dict(weights)))
        if self.settings.private:
            self._save(self.travelling.kept(network.state_dict()), self._private.name)
        figures = {"num-examples": float(len(workflow.get_parsed_content("train#cases")))}
        found = workflow.get_parsed_content("validate#evaluator").state.metrics
        return dict(client.get_weights().weights or {}), figures | {name: float(value) for name, value in found.items()}

    def _save(self, state: Mapping[str, Tensor], name: str) -> None:
        save_weights(state, self._models / name, terms=self.terms, task=self.task)

    def evaluate(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """Evaluates the server's tensors with the site's private ones on the site's validation cases.

        Returns:
            ``num-examples`` and ``val_mean_dice``.
        """
        client = self._client(1, 1, train=False)
        found = client.evaluate(ExchangeObject(weights=dict(weights))).metrics or {}
        figures = {name: float(value) for name, value in found.items()}
        state = _network(client.evaluator).state_dict()
        self._save(state, "model_final.pt")
        record = self._models / "best.json"
        best = read_json(record) if record.is_file() else {}
        if figures.get("val_mean_dice", 0.0) >= best.get("val_mean_dice", 0.0):
            self._save(state, "model.pt")
            write_json(record, figures)
        cases = _parser(client.eval_workflow).get_parsed_content("validate#cases")
        dice = (
            _parser(client.eval_workflow)
            .get_parsed_content("validate#evaluator")
            .state.metric_details["val_mean_dice"]
            .nanmean(dim=1)
            .tolist()
        )
        self.evaluated = {str(case["name"]): value for case, value in zip(cases, dice)}
        return {"num-examples": float(len(cases))} | figures

    def _client(self, number: int, rounds: int, train: bool) -> MonaiAlgo:
        """MONAI's client with the site's network, for training or for evaluation."""
        settings, folder = self.settings, self.settings.folder
        values = dict(settings.values)
        own = {
            "bundle_root": str(self._bundle),
            "ckpt_dir": str(folder / "runs"),
            "best_weights": str(folder / "runs" / "best.pt"),
            "final_weights": str(folder / "runs" / "last.pt"),
            "output_dir": str(folder / "runs"),
            "cache_dir": str(folder / "cache"),
            "max_epochs": rounds * settings.local_epochs,
            # The seed itself stays: what is frozen and of no file starts with the same values in every round.
            "train#sampler#seed": values.get("seed", 0) + number,
            "checkpoint_interval": 0,
            "fingerprint_cases": 0,
        }
        taken = sorted(own.keys() & values.keys() - {"fingerprint_cases", "checkpoint_interval"})
        if taken:
            raise ValueError(f"site.json: the federation itself sets {', '.join(taken)}: leave them out of values")
        files = [str(config_file(name, self._bundle)) for name in settings.configs]
        workflow = ConfigWorkflow(files, meta_file=None, logging_file=False, workflow_type="train", **values | own)
        client = MonaiAlgo(
            str(self._bundle),
            local_epochs=settings.local_epochs,
            send_weight_diff=False,
            config_train_filename=None,
            config_evaluate_filename=None,
            train_workflow=workflow if train else None,
            eval_workflow=None if train else workflow,
        )
        parser = _parser(workflow)
        if not parser.get_parsed_content("validate#cases"):
            raise ValueError(
                f"site {settings.name} has no validation cases: each site measures the Dice on its own, put some "
                "into the section validation of its datalist"
            )
        if "pretrained_license" in parser:
            self.terms = parser.get_parsed_content("pretrained_license")
        client.initialize({ExtraItems.CLIENT_NAME: settings.name})
        for filters in ("pre_filters", "post_weight_filters"):
            setattr(client, filters, (self.travelling,))
        network = _network(client.trainer if train else client.evaluator)
        check_parts(network, settings.private)
        entry = parser.get_parsed_content("task_entry") if "task_entry" in parser else None
        self.task = None if entry is None else trained_task(entry, network)
        if self._private.is_file():
            refuse_other_task(self._private, entry, getattr(network, "slot", None))
            network.load_state_dict(read_state(self._private)[0], strict=False)
        return client


def _network(engine: Any) -> Any:
    return unwrapped(engine.network)


def _parser(workflow: Any) -> Any:
    return workflow.parser
