"""Results in files: which cases are finished, and the provenance of each result.

The one rule: a result replaces nothing but an earlier result of the same scan and task.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import monai
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged

from uniseg_nets.io.files import atomic_path, sha256_of, sha256_of_weights, write_json
from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.io.names import is_name_of_table
from uniseg_nets.io.provenance import read_record, scan_identity
from uniseg_nets.version import __version__

__all__ = ["OF_THE_VERDICT", "VERDICT", "ResultSaver"]

logger = logging.getLogger(__name__)

# Key of a case: its verdict.
VERDICT = "verdict"
# Keys of a record that describe the result itself. All other keys are its provenance, which is compared as a whole.
OF_THE_VERDICT = (VERDICT, "reasons", "compared_with_training", "estimated_dice", "estimate_error")
_OF_THE_RESULT = (
    *("image", "series", "label_map", "mask", "modality", "confidence", "sha256", "written"),
    *OF_THE_VERDICT,
)


@dataclass(frozen=True)
class _Existing:
    """The existing files at the paths of a result.

    Attributes:
        finished: the result itself is there.
        edited: it was changed after it was written.
        in_the_way: files that the result must not replace, in words.
    """

    finished: bool = False
    edited: bool = False
    in_the_way: str | None = None


class ResultSaver(SaveImaged):
    """Writes the result of each case and, beside it, a JSON record; with both, the case is finished.

    It is a ``SaveImaged`` because servers that write results themselves look for this class and leave it out.
    Subclasses give the paths of a case's files (:meth:`targets`) and write them (:meth:`write`).

    Args:
        keys: key of the result.
        output_dir: folder for the results. It is made absolute here, since ITK changes the working directory at times.
        name_key: key of the case's name.
        weights: weights of the network, or of several networks; the record has their hash.
        metadata: further items for the record, such as the inferer's settings.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | PathLike[str],
        name_key: str = "name",
        weights: str | PathLike[str] | Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.output_dir = Path(output_dir).absolute()
        self.name_key = name_key
        self.metadata = dict(metadata or {})
        self.weights = weights
        # The scans' identities before they are read: a scan may be replaced meanwhile.
        self._scans: dict[Path, list[dict[str, Any]]] = {}

    @cached_property
    def _weights_sha256(self) -> str | list[str] | None:
        if self.weights is None or isinstance(self.weights, (str, PathLike)):
            return None if self.weights is None else sha256_of_weights(self.weights)
        return [sha256_of_weights(file) for file in self.weights]

    def provenance(self, case: Mapping[Any, Any]) -> dict[str, Any]:
        """The provenance in the record of a case; for an empty case, that of the whole run."""
        return {
            **self.metadata,
            "weights_sha256": self._weights_sha256,
            "versions": {
                "uniseg_nets": __version__,
                "monai": monai.__version__,
                "torch": torch.__version__,
            },
        }

    def targets(self, case: Mapping[Any, Any]) -> tuple[Path, ...]:
        """The file of the result, its record, and further files."""
        raise NotImplementedError

    def exported(self, case: Mapping[Any, Any]) -> list[Path]:
        """Files that were made from a case's earlier result; they are deleted with it."""
        return []

    def fingerprint(self, case: Mapping[Any, Any]) -> str:
        """Identifies the present result and record of a case: 32 digits of their SHA-256."""
        return hashlib.sha256(b"".join(path.read_bytes() for path in self.targets(case)[:2])).hexdigest()[:32]

    def unfinished(self, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The cases that have no result of the same scan, task, weights and settings.

        Raises:
            ValueError: if two cases would share a result, or a result would replace that of another scan or task, or a
                file that this package did not write. The message names the files.
        """
        self._refuse_names_of_tables(cases)
        self._refuse_twins(cases)
        for case in cases:
            self._scans[self.targets(case)[0]] = scan_identity(case["image"])
        existing = [self._look(case, self._scan(case)) for case in cases]
        reasons = [one.in_the_way for one in existing if one.in_the_way]
        if reasons:
            raise ValueError(
                f"{len(reasons)} of {len(cases)} results would replace other files; choose another "
                f"output folder, or move away or delete:\n{in_lines(reasons, 5)}"
            )
        for case, one in zip(cases, existing):
            if one.edited:
                logger.warning("%s was changed since it was written: left as it is", self.targets(case)[0])
        left = [case for case, one in zip(cases, existing) if not one.finished]
        if len(left) < len(cases):
            logger.info("%d of %d cases are finished already and skipped", len(cases) - len(left), len(cases))
        return left

    def is_finished(self, case: Mapping[Any, Any]) -> bool:
        """Whether a case has a result of the same scan, task, weights and settings."""
        return self._look(case, self._scan(case)).finished

    def write(
        self, case: Mapping[Any, Any], source: str, details: Mapping[str, Any], save: Callable[..., None]
    ) -> None:
        """Writes the record of a case, then its result, each whole or not at all.

        Args:
            case: the case.
            source: file of its image's first channel; empty for an array.
            details: items of the record that describe the result itself.
            save: writes the result, and further files of :meth:`targets`, to the given paths.

        Raises:
            ValueError: if the result would overwrite its own image, or a file of another scan, task or user.
        """
        target, sidecar, *others = self.targets(case)
        if source and target.exists() and Path(source).exists() and target.samefile(source):
            raise ValueError(f"result {target} would overwrite its own image: choose another output folder")
        scan = self._scans.get(target, [])
        if not scan or scan[0]["path"] != str(Path(source).resolve()):
            scan = scan_identity(source) if source else []
        reason = self._look(case, scan).in_the_way
        if reason:
            raise ValueError(f"{reason}: choose another output folder, or move it away")
        with ExitStack() as files:
            # They take their places in reverse order, the record first: a kill in between leaves no file without a
            # record, which would be in the way of the next run.
            *results, record = (files.enter_context(atomic_path(path)) for path in (target, *others, sidecar))
            save(*results)
            written = datetime.now(UTC).isoformat(timespec="seconds")
            own = {**details, "image": Path(source).name, "sha256": sha256_of(results[0]), "written": written}
            write_json(record, own | self._provenance_with_scan(case, scan))
            for earlier in (target, *others, *self.exported(case), sidecar):
                earlier.unlink(missing_ok=True)
        logger.info("wrote %s", target)

    def refuse(self, case: Mapping[Any, Any], source: str, verdict: Mapping[str, Any]) -> None:
        """Writes only the record of a case that is not computed; it does not count as finished.

        Args:
            case: the case.
            source: file of its image's first channel; empty for an array.
            verdict: items of the record.
        """
        sidecar = self.targets(case)[1]
        if self._look(case, self._scan(case)).in_the_way is None and not self.targets(case)[0].exists():
            written = datetime.now(UTC).isoformat(timespec="seconds")
            own = {**verdict, "image": Path(source).name, "written": written}
            write_json(sidecar, own | self._provenance_with_scan(case, self._scan(case)))

    def _scan(self, case: Mapping[Any, Any]) -> list[dict[str, Any]]:
        return self._scans.get(self.targets(case)[0]) or scan_identity(case["image"])

    def _provenance_with_scan(self, case: Mapping[Any, Any], scan: list[dict[str, Any]]) -> dict[str, Any]:
        """The provenance of a case with the identity of its scan, as read back from JSON."""
        return dict(json.loads(json.dumps({**self.provenance(case), "scan": scan})))

    def _look(self, case: Mapping[Any, Any], scan: list[dict[str, Any]]) -> _Existing:
        """The existing files at the paths of a case's result."""
        target, sidecar = self.targets(case)[:2]
        there = [file for file in self.targets(case) if os.path.lexists(file)]
        if not there:
            return _Existing()
        record, wanted = read_record(sidecar), self._provenance_with_scan(case, scan)
        if record is None:
            return _Existing(in_the_way=f"{there[0]}, which has no record of this package")
        if "scan" not in record:
            version = record["versions"]["uniseg_nets"]
            return _Existing(in_the_way=f"{there[0]}, of which version {version} did not record the scan")
        files, own = (", ".join(entry["path"] for entry in made["scan"]) for made in (record, wanted))
        if files != own:
            return _Existing(in_the_way=f"{there[0]}, the result of another scan: {files}, not {own}")
        tasks = record.get("task"), wanted.get("task")
        if tasks[0] != tasks[1]:
            return _Existing(in_the_way=f"{there[0]}, this scan's result for task {tasks[0]}, not {tasks[1]}")
        if not target.is_file():
            return _Existing()
        edited = record.get("sha256") != sha256_of(target)
        if {key: value for key, value in record.items() if key not in _OF_THE_RESULT} == wanted:
            return _Existing(finished=True, edited=edited)
        return _Existing(in_the_way=f"{target}, which was changed since it was written" if edited else None)

    def _refuse_names_of_tables(self, cases: Sequence[Mapping[str, Any]]) -> None:
        taken = [name for case in cases if is_name_of_table(name := str(case[self.name_key]))]
        if taken:
            raise ValueError(
                f"{listing(taken)}: the run writes its own tables under these names (run, failures, statistics): give "
                "the scans other names"
            )

    def _refuse_twins(self, cases: Sequence[Mapping[str, Any]]) -> None:
        seen: dict[str, Mapping[str, Any]] = {}
        for case in cases:
            other = seen.setdefault(str(case[self.name_key]), case)
            if other is not case:
                raise ValueError(
                    f"two cases are called {case[self.name_key]!r}, {other['image']} and {case['image']}: give them "
                    'different names, in a datalist by "name"; results are called after them'
                )
