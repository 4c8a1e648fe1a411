"""Finds the cases at a path, in four layouts.

The one rule: the names of cases depend on the files at the path alone, so that a second run over the same files
recognises the results of the first. A file that is added can change another case's name: scans of one name in several
sub-folders are all called after their sub-folders too.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.datalist import first_section, image_files, load_datalist, of_tasks
from uniseg_nets.io.messages import listing
from uniseg_nets.io.names import DICOM_ENDINGS, SCAN_ENDINGS, SEGMENTATION_ENDING, scan_name
from uniseg_nets.io.provenance import is_result
from uniseg_nets.io.series import is_dicom_folder, is_disc
from uniseg_nets.parts import part_of
from uniseg_nets.ranks import launched_rank
from uniseg_nets.tasks import TaskTable

__all__ = ["find_cases", "names_with_folders", "rank_partition", "unique"]

logger = logging.getLogger(__name__)

_NNUNET_FOLDERS = ("imagesTs", "imagesTr")


def find_cases(
    source: str | PathLike[str],
    output_dir: str | PathLike[str] | None = None,
    tasks: TaskTable | None = None,
    task: str | int | Sequence[str] = 0,
) -> list[dict[str, Any]]:
    """Finds the cases at ``source``, each ``{"name": ..., "image": [paths]}``, sorted by name.

    ``source`` is one of

    - an nnU-Net folder (``imagesTs``, else ``imagesTr``), or any folder of ``NAME_0000.nii.gz``, ``NAME_0001.nii.gz``;
    - a MONAI datalist (a JSON file, or a folder with ``datalist.json``): the first existing section of testing, test,
      validation and training;
    - a folder of scans or of DICOM series, searched with its sub-folders; below a folder with DICOM files, only folders
      with DICOM files are taken;
    - a single scan or DICOM folder.

    Results of earlier runs are skipped wherever they lie: the record beside each one identifies it.

    Args:
        source: file or folder.
        output_dir: folder for the results, which is not searched.
        tasks: the task table of the network; of a datalist then only the cases of ``task`` are taken, see
            :func:`~uniseg_nets.data.datalist.of_tasks`. Without it all are, each with the ``task`` that it names.
        task: the task or tasks to segment.

    Returns:
        The cases, with absolute paths.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no scan in it.
        ValueError: if results would lie among the scans, two cases share a name, the file type is unknown, or a
            datalist has no case of the task.
    """
    source = Path(source).absolute()
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}")
    if source.suffix.lower() == ".json":
        return _from_datalist(source, tasks, task)
    if source.is_file():
        return [_single_file(source)]
    if (source / "datalist.json").is_file():
        return _from_datalist(source / "datalist.json", tasks, task)
    folder = next((source / name for name in _NNUNET_FOLDERS if (source / name).is_dir()), source)
    results = None if output_dir is None else Path(output_dir).resolve()
    if results == folder.resolve():
        raise ValueError(f"the results would lie among the scans in {folder}: choose another output folder")
    cases = _from_folder(folder, results)
    if not cases:
        raise FileNotFoundError(
            f"no scan in {folder}: expected {', '.join(SCAN_ENDINGS)} or folders with a DICOM series"
        )
    return cases


def rank_partition(cases: Sequence[dict[str, Any]], part: str | int | None = None) -> list[dict[str, Any]]:
    """The cases of this process in a run of N processes: every N-th one, by the rank that ``torchrun`` sets.

    Args:
        cases: all cases.
        part: the part of them that the run does, ``"K/N"``, see :func:`~uniseg_nets.parts.part_of`.
    """
    if part is not None:
        number, parts = part_of(part)
        cases = cases[number - 1 :: parts]
    rank, world = launched_rank()
    return list(cases[rank::world])


def _from_datalist(path: Path, tasks: TaskTable | None, task: Any) -> list[dict[str, Any]]:
    section, kept = first_section(path), ["name", "task"]
    cases = load_datalist(path, section)
    if tasks is not None:
        kept.remove("task")
        try:
            cases = of_tasks(cases, tasks, task)
        except ValueError as error:
            raise ValueError(f"datalist {path}: {section!r} has {error}") from error
    return unique([{key: case[key] for key in kept if key in case} | {"image": image_files(case)} for case in cases])


def _single_file(file: Path) -> dict[str, Any]:
    if not _is_scan(file):
        one = ": of a DICOM series, give the folder" if file.suffix.lower() in DICOM_ENDINGS else ""
        raise ValueError(
            f"{file} is no scan{one}: scans are {', '.join(SCAN_ENDINGS)} or a DICOM folder; a datalist is .json"
        )
    name, channel = scan_name(file)
    channels: dict[int | None, str] = {channel: str(file)}
    if channel is not None:  # one channel of several; the others are in the same folder
        channels = {}
        for other in sorted(filter(_is_scan, file.parent.iterdir())):
            if scan_name(other)[0] == name and scan_name(other)[1] is not None:
                _add(channels, scan_name(other)[1], other)
    return {"name": name, "image": list(channels.values())}


def _add(channels: dict[int | None, str], channel: int | None, file: Path) -> None:
    """Adds a file to its case. A file without a number is the whole case; each number occurs once."""
    if channels and (channel is None or None in channels or channel in channels):
        other = channels.get(channel, next(iter(channels.values())))
        name = scan_name(file)[0] if file.is_file() else file.name
        raise ValueError(f"case name {name!r} belongs to several scans ({other}, {file}): rename one")
    channels[channel] = str(file)


def _from_folder(folder: Path, results: Path | None) -> list[dict[str, Any]]:
    files: dict[tuple[Path, str], dict[int | None, str]] = {}  # of each case, by folder and name
    unknown: list[str] = []
    earlier: list[Path] = []
    below: list[Path] = []  # scans below a folder with DICOM files
    for path, is_below in _walk(folder, results):
        if path.is_file() and is_result(path):
            earlier.append(path)
        elif path.is_file() and is_below:
            below += [path] if _is_scan(path) else []
        elif path.is_dir() or _is_scan(path):
            name, channel = (path.name, None) if path.is_dir() else scan_name(path)
            _add(files.setdefault((path.parent, name), {}), channel, path)
        else:
            unknown.append(path.name)
    if earlier:
        logger.info("%s: left out %d results of earlier runs, such as %s", folder, len(earlier), earlier[0])
    if unknown:
        logger.warning("%s: skipped %d files that are no scans: %s", folder, len(unknown), ", ".join(unknown[:5]))
    if below:
        logger.warning(
            "%s: left out %d files below folders with DICOM files, as they may be segmentations: %s; to segment them, "
            "give their folder",
            *(folder, len(below), listing(list(map(str, below)))),
        )
    names = names_with_folders(list(files), folder, results)
    return unique([{"name": name, "image": list(images.values())} for name, images in zip(names, files.values())])


def names_with_folders(
    files: Sequence[tuple[Path, str]], folder: Path, results: Path | None, what: str = "scans"
) -> list[str]:
    """The names of cases: those that occur in several sub-folders get the sub-folder as a prefix.

    Warns where an earlier result has the name that a case had before others of the same name came.

    Args:
        files: the parent folder and the name of each case.
        folder: the folder that was searched.
        results: folder of the results.
        what: what the cases are, for the warning.
    """
    count = Counter(name for _, name in files)
    names = []
    for parent, name in files:
        # A series or an image that is searched itself has no sub-folder.
        inside = count[name] > 1 and parent != folder.parent
        names.append("_".join([*(parent.relative_to(folder).parts if inside else ()), name]))
    changed = set(count).difference(names)
    stale = sorted(name for name in changed if results is not None and (results / f"{name}.json").is_file())
    if stale:
        logger.warning(
            "%s: %s in several sub-folders are called %s, so that their cases are called after the sub-folders too "
            "and computed anew; %s has an earlier result of that name, which stays",
            *(folder, what, listing(stale), results),
        )
    return names


def _walk(
    folder: Path, results: Path | None, above: tuple[str, ...] = (), below: bool = False
) -> Iterator[tuple[Path, bool]]:
    """Files and DICOM folders under ``folder``, and whether they are below a DICOM folder; no hidden ones, no results.

    A disc with a DICOMDIR is one DICOM folder. In a folder with DICOM files and other scans, the other scans are used.
    The sub-folders of a DICOM folder are searched too: its files may be strays above the folders of patients. ``below``
    such a folder the DICOM files are used. A folder that cannot be listed is named in the log. Links back to one of the
    folders ``above`` are not followed.
    """
    above = (*above, os.path.realpath(folder))
    try:
        paths = sorted(folder.iterdir())
        dicom = is_dicom_folder(folder) and (below or not any(map(_is_scan, paths)))
    except PermissionError as error:
        logger.warning("left out a folder that cannot be searched: %s", error)
        return
    if dicom:
        yield folder, below
        if is_disc(folder):
            return
    for path in paths:
        if path.name.startswith(".") or os.path.realpath(path) in (*above, str(results)):
            continue
        if path.is_dir():
            yield from _walk(path, results, above, below or dicom)
        elif not (dicom or path.name.lower().endswith((".json", ".raw"))):
            yield path, below


def _is_scan(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(SCAN_ENDINGS) and not name.endswith(SEGMENTATION_ENDING)


def unique(cases: Sequence[dict[str, Any]], what: str = "scans") -> list[dict[str, Any]]:
    """The cases, sorted by name, numbers by value.

    Raises:
        ValueError: if two cases share a name; the message names their files.
    """
    twins = [name for name, count in Counter(case["name"] for case in cases).items() if count > 1]
    if twins:
        files = [file for case in cases if case["name"] == twins[0] for file in image_files(case)]
        raise ValueError(f"case name {twins[0]!r} belongs to several {what} ({', '.join(files)}): rename one")
    return sorted(cases, key=lambda case: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", case["name"])])
