"""Copies of scans among the cases of a data set and the entries of its datalist.

The one rule: no two scans with the same voxels are on two sides of a split, whatever their names and sources.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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

    def united(self, patients: Mapping[str, str]) -> dict[str, str]:
        """The patient of each case, where a case and its copies, and all cases of their patients, are of one.

        Raises:
            ValueError: if an image cannot be read; the message names it.
        """
        self._measure(self._cases.values())
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
        """Refuses a split with copies on both sides, also of existing entries. Entries without image are named.

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
        unread = self._unread(sides)
        if unread:
            logger.warning("not compared with the other scans of %s: %s", datalist.path, listing(list(unread.values())))
        first = self._first(files for files, _, _ in sides if files not in unread)
        found: dict[_Files, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for files, name, section in sides:
            found[first.get(files, files)][section].append(name)
        divided = [
            ", ".join(f"{listing(names)} in {section}" for section, names in of_scan.items())
            for of_scan in found.values()
            if len(of_scan) > 1
        ]
        if divided:
            raise ValueError(
                f"{where} puts copies of {len(divided)} scan(s), with the same voxels, on several sides, where "
                f"validation would be no test:\n{in_lines(divided)}\nput all copies on one side with `--split`, or "
                "leave one out; the datalist is unchanged"
            )

    def _unread(self, sides: Sequence[tuple[_Files, str, str]]) -> dict[_Files, str]:
        """The entries that cannot be read, with the reason."""
        unread = {}
        for files, name, _ in sides:
            try:
                self._measure([files])
            except (ValueError, OSError) as error:
                unread[files] = f"{name} ({error})"
        return unread

    def _measure(self, scans: Iterable[_Files]) -> None:
        for files in scans:
            if files not in self._sizes:
                self._sizes[files] = size_of(files)

    def _first(self, scans: Iterable[_Files]) -> dict[_Files, _Files]:
        """Each scan -> the first one with its voxels, which is itself if there is none before it."""
        scans = list(dict.fromkeys(scans))
        count = Counter(self._sizes[files] for files in scans)
        alike = [files for files in scans if count[self._sizes[files]] > 1]
        for files in tqdm([f for f in alike if f not in self._digests], desc="comparing images", disable=None):
            self._digests[files] = voxel_digest(LoadCase()(files[0]).numpy().transpose(0, 3, 2, 1))
        return {files: files for files in scans} | originals({files: self._digests[files] for files in alike})


def _resolved(files: Iterable[Path]) -> _Files:
    return tuple(file.resolve() for file in files)
