"""The origin of datalist entries, so that a second run replaces its own entries only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniseg_nets.data.datalist import image_entry, image_files
from uniseg_nets.data.groups import group_of
from uniseg_nets.io.paths import portable_path

__all__ = ["NNUNET", "Origin", "free_names", "relative"]

NNUNET = "nnunet"


@dataclass(frozen=True)
class Origin:
    """The origin of a data set's entries.

    Attributes:
        task: task of the cases.
        source: name of the data set, a key of the tables of sources, or ``nnunet``.
        folder: folder of an nnU-Net data set, relative to the datalist, which identifies it.
    """

    task: str
    source: str
    folder: str | None = None

    @classmethod
    def of(cls, task: str, source: str, raw: Path, output: Path) -> Origin:
        return cls(task, source, relative(raw, output) if source == NNUNET else None)

    def replaces(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry was made from the same data for the same task."""
        return self._same_source(entry) and entry["task"] == self.task and self.folder == self.folder_of(entry)

    def shares_patients(self, entry: Mapping[str, Any]) -> bool:
        """Whether equal patient names in this data set and the entry mean the same patient."""
        return self._same_source(entry) and (entry["task"] == self.task or self.folder == self.folder_of(entry))

    def known_patients(self, entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], str]:
        """Images of this data set in entries for other tasks -> their patient."""
        same = [entry for entry in entries if self._same_source(entry) and self.folder == self.folder_of(entry)]
        return {tuple(image_files(entry)): group_of(entry) for entry in same}

    def entry(
        self, name: str, patient: str, images: Sequence[Path], label: Path, output: Path
    ) -> dict[str, str | list[str]]:
        """The entry of a case in ``output/datalist.json``, without ``group`` if the patient has the case's name."""
        return {
            "name": name,
            "image": image_entry([relative(image, output) for image in images]),
            "label": relative(label, output),
            "task": self.task,
            "source": self.source,
            **({} if self.folder is None else {"folder": self.folder}),
            **({} if patient == name else {"group": patient}),
        }

    def _same_source(self, entry: Mapping[str, Any]) -> bool:
        return bool(entry.get("source") == self.source)

    def folder_of(self, entry: Mapping[str, Any]) -> str | None:
        """The folder of an entry's nnU-Net data set."""
        if self.source != NNUNET:
            return None
        # Datalists of version 0.6 have no `folder`; the images are in FOLDER/imagesTr.
        return str(entry.get("folder") or Path(image_files(entry)[0]).parent.parent.as_posix())


def free_names(names: Sequence[str], taken: set[str], prefixes: Sequence[str]) -> dict[str, str]:
    """A unique name in the datalist for each case: its own, with prefixes if another case has that name.

    Results are named after their case, whatever its task.

    Raises:
        ValueError: if other cases have all possible names.
    """
    taken = set(taken)
    free = {}
    for name in names:
        choices = ["_".join([*prefixes[:count], name]) for count in range(len(prefixes) + 1)]
        new = next((choice for choice in choices if choice not in taken), None)
        if new is None:
            raise ValueError(
                f"the datalist has cases {', '.join(choices)} already: rename the folder, or prepare elsewhere"
            )
        free[name] = new
        taken.add(new)
    return free


def relative(file: Path, output: Path) -> str:
    """The path of a file as a datalist in the folder ``output`` names it."""
    return portable_path(file, output)
