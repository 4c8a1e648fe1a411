"""Copies of scans among the cases of a data set and the entries of its datalist.

The one rule: no two scans with the same voxels are on two sides of a split, whatever their names and sources.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from uniseg_nets.data.copies import originals, voxel_digest
from uniseg_nets.data.datalist import image_files
from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.prepare.check import size_of
from uniseg_nets.prepare.datalist import Datalist
from uniseg_nets.prepare.find import Case
from uniseg_nets.transforms.load import LoadCase

__all__ = ["Copies"]

logger = logging.getLogger(__name__)

_Files = tuple[Path, ...]


class Copies:
    """Compares scans by the voxels of their first file. It is read only if another scan has its size, and only once.

    Args:
        cases: the cases of the data set.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        self._cases = {case.name: _resolved(case.images) for case in cases}
        self._sizes: dict[_Files, tuple[int, ...]] = {}
        self._digests: dict[_Files, str] = {}
        self._faults: dict[_Files, str] = {}  # of entries of other data sets, why they cannot be read

    def united(self, patients: Mapping[str, str]) -> dict[str, str]:
        """The patient of each case, where a case and its copies, and all cases of their patients, are of one.

        Raises:
            ValueError: if an image cannot be read; the message names it.
        """
        first = self._first(self._cases.values())
        names = {files: name for name, files in reversed(self._cases.items())}
        original = {name: names[first[files]] for name, files in self._cases.items()}
        pairs = {name: other for name, other in original.items() if name != other}
        united = dict(patients)
        for name, other in pairs.items():
            old, new = united[name], united[other]
            united = {case: new if patient == old else patient for case, patient in united.items()}
        if pairs:
            logger.warning(
                "%d of %d cases hold the same image as another one, and count as cases of its patient: %s",
                *(len(pairs), len(self._cases), listing([f"{name} as {other}" for name, other in pairs.items()])),
            )
        return united

    def refuse_divided(self, sections: Mapping[str, Sequence[str]], datalist: Datalist, where: str) -> None:
        """Refuses a split that puts a case of the data set and a copy of it on two sides, also of existing entries.

        Existing entries that cannot be read, and those that are copies of one another on two sides, are named.

        Args:
            sections: section -> names of the cases of the data set.
            datalist: the entries of other data sets.
            where: origin of the split, for the message.

        Raises:
            ValueError: if copies are on both sides; the message has their names.
        """
        sides = [(self._cases[name], name, section) for section, members in sections.items() for name in members]
        for section, entries in datalist.others.items():
            for entry in entries:
                files = _resolved(datalist.path.parent / file for file in image_files(entry))
                sides.append((files, str(entry.get("name", files[0].name)), section))
        first = self._first(files for files, _, _ in sides)
        unread = [f"{name} ({self._faults[files]})" for files, name, _ in sides if files in self._faults]
        if unread:
            logger.warning("not compared with the other scans of %s: %s", datalist.path, listing(unread))
        found: dict[_Files, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for files, name, section in sides:
            found[first[files]][section].append(name)
        divided = {
            files: ", ".join(f"{listing(names)} in {section}" for section, names in of_scan.items())
            for files, of_scan in found.items()
            if len(of_scan) > 1
        }
        own = {first[files] for files in self._cases.values() if files in first}
        others = [text for files, text in divided.items() if files not in own]
        if others:
            logger.warning(
                "%s has copies of %d scan(s) of other data sets on several sides, where validation is no test; prepare "
                "those data sets again:\n%s",
                *(datalist.path, len(others), in_lines(others)),
            )
        refused = [text for files, text in divided.items() if files in own]
        if refused:
            raise ValueError(
                f"{where} puts copies of {len(refused)} scan(s), with the same voxels, on several sides, where "
                f"validation would be no test:\n{in_lines(refused)}\nput all copies on one side with `--split`, or "
                "leave one out; the datalist is unchanged"
            )

    def _first(self, scans: Iterable[_Files]) -> dict[_Files, _Files]:
        """Each scan -> the first one with its voxels, which is itself if there is none before it."""
        scans = list(dict.fromkeys(scans))
        self._read(scans, size_of, self._sizes)
        count = Counter(self._sizes[files] for files in scans if files in self._sizes)
        alike = [files for files in scans if count[self._sizes.get(files, ())] > 1]
        missing = [files for files in alike if files not in self._digests]
        self._read(tqdm(missing, desc="comparing images", disable=None), _digest_of, self._digests)
        digests = {files: self._digests[files] for files in alike if files in self._digests}
        return {files: files for files in scans} | originals(digests)

    def _read(self, scans: Iterable[_Files], what: Callable[[_Files], Any], known: dict[_Files, Any]) -> None:
        """Adds what is not known of scans yet. An entry of another data set that cannot be read is a fault.

        Raises:
            ValueError: if a case of the data set cannot be read.
        """
        for files in scans:
            if files in known or files in self._faults:
                continue
            try:
                known[files] = what(files)
            except (ValueError, OSError) as error:
                if files in self._cases.values():
                    raise
                self._faults[files] = str(error)


def _digest_of(files: _Files) -> str:
    return voxel_digest(LoadCase()(files[0]).numpy().transpose(0, 3, 2, 1))


def _resolved(files: Iterable[Path]) -> _Files:
    return tuple(file.resolve() for file in files)
