"""MONAI's engines with a task per sample, bfloat16 on any device, and an evaluator that goes on after a faulty case."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from threading import Lock
from typing import Any

import torch
from ignite.engine import EventEnum, Events
from monai.engines import PrepareBatch, SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from torch.utils.data import DataLoader

from uniseg_nets.data.claims import Claims
from uniseg_nets.data.fault_tolerant import ELSEWHERE, ERROR, REFUSAL
from uniseg_nets.io.errors import CasesFailedError, root_cause
from uniseg_nets.nets.bfloat16 import SmallConvolutionsInFloat32
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.result import VERDICT

__all__ = ["AutocastInferer", "CaseEvaluator", "CaseEvents", "PrepareTaskBatch"]

logger = logging.getLogger(__name__)

_LARGE = 2**30  # bytes of scores


class PrepareTaskBatch(PrepareBatch):
    """Passes each sample's task to the network and to the loss.

    A batch has ``image``, ``label`` and ``task`` (names or ids). The network gets the image and the task ids, the loss
    gets the target ``{"label", "task"}`` that :class:`~uniseg_nets.losses.TaskDiceCELoss` takes.

    Args:
        tasks: the task table.
        tell_network: pass the ids to the network. False for a network without tasks.
    """

    def __init__(self, tasks: TaskTable, tell_network: bool = True) -> None:
        self.tasks = tasks
        self.tell_network = tell_network

    def __call__(
        self, batchdata: Mapping[str, Any], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, ...], dict[str, Any]]:
        ids = torch.tensor([self.tasks.one(task).id for task in batchdata["task"]])
        image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
        label = batchdata["label"].to(device=device, non_blocking=non_blocking, **kwargs)
        task_ids = (ids.to(image.device),) if self.tell_network else ()
        return image, {"label": label, "task": ids.to(label.device)}, task_ids, {}


class AutocastInferer(SimpleInferer):
    """The forward pass, in bfloat16 if chosen. MONAI's trainers autocast on CUDA alone.

    Weights, gradients and the loss stay in float32. bfloat16 has the range of float32, so that the loss needs no
    scaling. On a CPU small convolutions stay in float32 too, see :mod:`uniseg_nets.nets.bfloat16`.
    """

    def __init__(self, bfloat16: bool = False) -> None:
        super().__init__()
        self.bfloat16 = bfloat16

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> Any:
        # Without bfloat16 an autocast around, such as that of MONAI's trainers in float16, stays in force.
        chosen = torch.autocast(inputs.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()
        with SmallConvolutionsInFloat32(), chosen:
            return super().__call__(inputs, network, *args, **kwargs)


class CaseEvents(EventEnum):
    """``DONE``: a case is exported or failed; its name is the evaluator's ``done``."""

    DONE = "case_done"


def _unchanged(case: Any) -> Any:
    return case


class CaseEvaluator(SupervisedEvaluator):
    """MONAI's evaluator for batches of one named case. A failure in one case does not end the run.

    Reading (through :class:`~uniseg_nets.data.FaultTolerantDataset`), prediction and export of a case may fail: the
    failure is logged and the next case begins. A case is exported (``postprocessing`` and ``exports``) on a thread of
    its own while the next case is predicted. Above 1 GiB of scores the export finishes first. One export runs at a
    time: at ``ITERATION_COMPLETED`` the export of the case before is done, at ``EPOCH_COMPLETED`` all are.

    Args:
        exports: further steps after the postprocessing, each called with the case's dictionary. Exports that finished
            cases lack (:meth:`~uniseg_nets.transforms.derived.CaseExport.pending`) are made first.
        review: called at the end of every run; returns further cases that count as failed, name -> reason.
        claims: those of the loader's data set, where several processes share the cases.
        settings: arguments of MONAI's evaluator.

    Attributes:
        failures: case name -> reason, of the last run.
        seconds: case name -> seconds of prediction and export, of the last run.
        verdicts: case name -> what its record says of its verdict, of the last run.
        with_label_map: names of failed cases whose label map stands: an export failed, or the review alone names them.
        exported: names of cases that were finished before and lacked exports, of the last run.
        reviewed: names of cases that failed by the review alone, of the last run or of earlier ones.
        done: name of the case that was exported or failed last.

    Raises:
        ValueError: if there are claims and the loader has worker processes, which would each claim for themselves.
        CasesFailedError: from ``run``, after the last case.
        ClaimLostError: from ``run``, when other processes have taken over the cases of this one.
        RuntimeError: from ``run``, when the loader yielded fewer cases than its length.
    """

    data_loader: DataLoader

    def __init__(
        self,
        exports: Sequence[Callable[[Any], Any]] = (),
        review: Callable[[], Mapping[str, str]] | None = None,
        claims: Claims | None = None,
        **settings: Any,
    ) -> None:
        self._postprocessing: Callable[[Any], Any] = _unchanged
        self.claims = claims
        self._telling = Lock()
        handlers = settings.get("val_handlers") or ()
        super().__init__(**settings | {"val_handlers": handlers, "event_names": [CaseEvents]})
        if claims is not None and self.data_loader.num_workers:
            raise ValueError(f"num_workers is {self.data_loader.num_workers}, expected 0 where processes share cases")
        self.exports = exports
        self.review = review

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        self.failures: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.reviewed: list[str] = []
        self.with_label_map: set[str] = set()
        self._ended: set[str] = set()  # names of the cases that are exported, failed, or done by other processes
        self._exporting: Future[None] | None = None
        self.exported = self._export_pending()
        self._total = len(self.data_loader)
        if self._total:
            self._predict(global_epoch)
        else:
            logger.info("no case is left to do")
            self._add_reviewed()
            self.fire_event(Events.COMPLETED)
        if self.failures:
            raise CasesFailedError(self.failures, len({*self._ended, *self.exported, *self.reviewed}))

    def _predict(self, global_epoch: int) -> None:
        self._begun = time.perf_counter()
        # All exports have ended when the run returns (EPOCH_COMPLETED waits for them); claims are given up last.
        with self.claims or nullcontext(), ThreadPoolExecutor(1, "export") as self._exporter:
            super().run(global_epoch)
            unread = self._total - len(self._ended)
            if unread:  # a loader whose thread dies ends without an error
                if self.claims is not None:
                    self.claims.check()
                raise RuntimeError(f"{unread} of {self._total} cases were never read: run again for them")

    def _export_pending(self) -> list[str]:
        """Makes the exports that finished cases lack. Returns the names of these cases."""
        pending: dict[str, tuple[dict[str, Any], list[Callable[[Any], Any]]]] = {}
        for export in self.exports:
            for case in getattr(export, "pending", list)():
                pending.setdefault(case["name"], (case, []))[1].append(export)
        for name, (case, exports) in pending.items():
            try:
                self._make(exports, case)
            except ValueError as error:
                self.failures[name] = str(error)
                logger.error("case %s, finished before: %s", name, error)
        return list(pending)

    def _make(self, exports: Sequence[Callable[[Any], Any]], case: dict[str, Any]) -> None:
        """Makes exports of a case with a label map. At the end raises ValueError with the reasons of failed ones."""
        reasons = []
        for export in exports:
            try:
                export(case)
            except Exception as error:
                reasons.append(root_cause(error))
        if reasons:
            self.with_label_map.add(case["name"])
            raise ValueError("; ".join(reasons))

    def _register_postprocessing(self, posttrans: Callable[[Any], Any]) -> None:
        self._postprocessing = posttrans  # not registered as MONAI's handler, which would wait for it

    def _register_handlers(self, handlers: Sequence[Any]) -> None:
        # Before the handlers that read the results and the failures.
        self.add_event_handler(Events.EPOCH_COMPLETED, self._end_export)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._add_reviewed)
        super()._register_handlers(handlers)

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, Any]:
        name, begun = batchdata["name"][0], time.perf_counter()
        if ELSEWHERE in batchdata:
            self._count(name)
            return {}
        try:
            if REFUSAL in batchdata:
                self.verdicts[name] = json.loads(batchdata[REFUSAL][0])
            if ERROR in batchdata:
                raise ValueError(batchdata[ERROR][0])
            super()._iteration(engine, batchdata)
        except Exception as error:
            self._failed(name, error)
            return {}
        self._end_export()
        if self.claims is not None:
            self.claims.check()
        output = engine.state.output
        for case in engine.state.batch:
            case["measures"] = getattr(self.inferer, "measures", None)
        self._exporting = self._exporter.submit(self._export, name, begun, engine.state.batch, output)
        if sum(scores[Keys.PRED].nbytes for scores in output) > _LARGE:
            self._end_export()
        return {}

    @torch.no_grad()
    def _export(self, name: str, begun: float, batch: list[dict[str, Any]], output: list[dict[str, Any]]) -> None:
        """Runs in a thread of its own, beside the prediction of the next case, for which it does not wait."""
        try:
            for case, scores in zip(batch, output):
                exported = self._postprocessing(case | scores)
                if VERDICT in exported:
                    self.verdicts[exported["name"]] = exported[VERDICT].as_record()
                self._make(self.exports, exported)
        except Exception as error:
            self._failed(name, error)
            return
        self.seconds[name] = round(time.perf_counter() - begun, 1)
        count = self._count(name)
        left = timedelta(seconds=round((time.perf_counter() - self._begun) * (self._total / count - 1)))
        rest = f", about {left} left" if count < self._total else ""
        logger.info("case %d/%d %s: %.1f s%s", count, self._total, name, self.seconds[name], rest)
        self._done(name)

    def _end_export(self) -> None:
        """Waits for the export that is running, if any."""
        if self._exporting is not None:
            self._exporting.result()

    def _add_reviewed(self) -> None:
        """Counts what the review finds as failed, and keeps the names."""
        further = {} if self.review is None else self.review()
        self.reviewed = [name for name in further if name not in self.failures]
        self.with_label_map.update(self.reviewed)
        self.failures = {**further, **self.failures}

    def _failed(self, name: str, error: Exception) -> None:
        self.failures[name] = root_cause(error)
        logger.error("case %d/%d %s failed: %s", self._count(name), self._total, name, self.failures[name])
        self._done(name)

    def _count(self, name: str) -> int:
        """Notes that a case has ended; returns the number of those that have."""
        with self._telling:
            self._ended.add(name)
            return len(self._ended)

    def _done(self, name: str) -> None:
        """Tells the handlers first: a case must be in the log before another process may look at it."""
        with self._telling:
            self.done = name
            self.fire_event(CaseEvents.DONE)
        if self.claims is not None:
            self.claims.release(name, failed=name in self.failures)
