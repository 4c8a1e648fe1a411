"""MONAI datalists: ``{"training": [{"image": ..., "label": ..., "task": ...}], "validation": [...]}``.

The one rule: an image of one channel is written as a string, as MONAI's other tools expect, an image of several
channels as a list. Both are read.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.io.files import read_json
from uniseg_nets.io.messages import listing
from uniseg_nets.io.names import scan_name
from uniseg_nets.tasks import TaskTable

__all__ = ["first_section", "image_entry", "image_files", "load_datalist", "of_tasks", "with_task"]

logger = logging.getLogger(__name__)

_PATHS = ("image", "label")
# In the order in which sections are chosen for segmentation.
_SECTIONS = ("testing", "test", "validation", "training")


def load_datalist(
    path: str | PathLike[str],
    section: str,
    base_dir: str | PathLike[str] | None = None,
    optional: bool = False,
    task: str | int | Sequence[str] | None = None,
    menu: Sequence[str] | str | None = None,
    apart: str | None = None,
) -> list[dict[str, Any]]:
    """Loads the cases of one section, with absolute paths. Each has a ``name`` as text: by default that of its scan.

    Not MONAI's ``load_decathlon_datalist``, which treats every text of a case as a path, its task too.

    Args:
        path: the JSON file.
        section: such as ``training``, ``validation`` or ``testing``.
        base_dir: folder of relative paths; the JSON's folder by default.
        optional: give no cases if the section is missing.
        task, menu: the tasks to load, see :func:`with_task`.
        apart: another section, which may have none of the images, such as ``validation`` for those of a training.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the file is not JSON, the section is missing (unless ``optional``), an entry is not a case or
            its name is a path, or an image is in the section ``apart`` too; or if no case has the task, or, with a menu
            of tasks, a case has none. The message names the file.
    """
    path = Path(path)
    base = Path(base_dir or path.parent).absolute()
    content = read_json(path)
    if optional and section not in content:
        return []
    if not isinstance(content.get(section), list):
        raise ValueError(f"datalist {path} has no list {section!r}; it has {', '.join(content)}")
    cases = _cases(content[section], base, f"datalist {path}", section)
    if apart is not None and isinstance(content.get(apart), list):
        held = {file for case in _cases(content[apart], base, f"datalist {path}", apart) for file in image_files(case)}
        both = [case["name"] for case in cases if not held.isdisjoint(image_files(case))]
        if both:
            raise ValueError(
                f"datalist {path} has {len(both)} images in {section!r} and in {apart!r}, where they would be no test: "
                f"{listing(both)}: leave each in one of the two"
            )
    if task is not None:
        try:
            cases = with_task(cases, task, menu)
        except ValueError as error:
            raise ValueError(f"datalist {path}: {section!r} has {error}") from error
        nameless = [str(case["name"]) for case in cases if "task" not in case]
        if nameless:
            raise ValueError(
                f'datalist {path}: no task for {listing(nameless)}: add "task" to each case, or give --task'
            )
    return cases


def _cases(entries: Sequence[Any], base: Path, where: str, section: str) -> list[dict[str, Any]]:
    """The entries of a section as cases; a wrong one raises ValueError with its number."""
    cases = []
    for number, entry in enumerate(entries):
        try:
            cases.append(_case(entry, base))
        except ValueError as error:
            raise ValueError(f"{where}: entry {number} of {section!r} {error}") from error
    return cases


def _case(entry: Any, base: Path) -> dict[str, Any]:
    """An entry of a datalist as a case.

    Raises:
        ValueError: if it has no image, values that are not files, or a name that cannot be a file's.
    """
    case = dict(entry) if isinstance(entry, Mapping) else {"image": entry}
    if case.get("task", "") is None:
        del case["task"]
    if not case.get("image"):
        raise ValueError(f"has no image: {entry!r}")
    for key in _PATHS:
        if key in case:
            files = case[key] if isinstance(case[key], list) else [case[key]]
            if not all(isinstance(file, str) and file for file in files):
                raise ValueError(f"has {key} {case[key]!r}, expected a file, or a list of files, one per channel")
            absolute = [str(base / file) for file in files]
            case[key] = absolute if isinstance(case[key], list) else absolute[0]
    name = case.get("name", scan_name(image_files(case)[0])[0])
    # Results would leave their folder; Path("..").name is "..".
    if not isinstance(name, (str, int, float)) or name in ("", "..") or Path(str(name)).name != str(name):
        raise ValueError(f"has the name {name!r}, expected a name without folders: results are called after it")
    return case | {"name": str(name)}


def with_task(
    cases: Sequence[Mapping[str, Any]], task: str | int | Sequence[str] | None, menu: Sequence[str] | str | None = None
) -> list[dict[str, Any]]:
    """The cases of one task or several.

    Args:
        cases: the cases.
        task: name or id of the task, as the cases have it; cases that name none get it. Or several, each case then
            names its own, also as a text with commas. ``None`` keeps all cases as they are.
        menu: the tasks that a config offers. A ``task`` equal to this list is no choice and keeps all cases too.

    Raises:
        ValueError: if no case names the task or the tasks, or if several are chosen and a case names none.
    """
    if isinstance(task, str) and "," in task:
        task = task.split(",")
    one = isinstance(task, (str, int))
    names = [str(name) for name in ([task] if isinstance(task, (str, int)) else task or ())]
    if task is None or (not one and names == list(menu or ())):
        return [dict(case) for case in cases]
    nameless = [str(case.get("name", case.get("image"))) for case in cases if "task" not in case]
    if nameless and not one:
        raise ValueError(f'no task for {listing(nameless)}: add "task" to each case, or choose one task')
    own = {"task": task} if one else {}
    named = [{str(case["task"]).strip()} if "task" in case else set() for case in cases]
    return [{**own, **case} for case in _selected(cases, named, names, ", ".join(names))]


def of_tasks(
    cases: Sequence[Mapping[str, Any]], tasks: TaskTable, task: str | int | Sequence[str]
) -> list[dict[str, Any]]:
    """The cases that a network segments: those that name one of its tasks, and those that name none.

    A case names a task by its name or its id, several as a list or a text with commas, or all of them by their merged
    name, such as ``all_ct``; it is taken if one of them is among the chosen ones. The others are left out, and the log
    says so. A network of one task takes all cases where they name one task under another name: a plan has a name of its
    own, whatever its datalist calls the task. The log then warns.

    Args:
        cases: the cases.
        tasks: the task table of the network.
        task: the task or tasks to segment, as :meth:`~uniseg_nets.tasks.TaskTable.select` takes them.

    Raises:
        ValueError: if no case is of the tasks, or the table does not have them.
    """
    word = tasks.word(task)
    names = {word, *(name for one in tasks.select(task) for name in (one.name, str(one.id)))}
    named = [_named(case) for case in cases]
    there = set().union(*named)
    if len(tasks) == 1 and len(there) == 1 and not there & names:
        logger.warning("all cases are segmented as %r, the network's one task; they name %s", word, *there)
        return [dict(case) for case in cases]
    return _selected(cases, named, names, word)


def _named(case: Mapping[str, Any]) -> set[str]:
    """The tasks that a case names: one, several as a list or a text with commas, or none."""
    task = case.get("task", ())
    names = task if isinstance(task, (list, tuple)) else str(task).split(",")
    return {str(name).strip() for name in names}


def _selected(
    cases: Sequence[Mapping[str, Any]], named: Sequence[set[str]], names: Collection[str], wanted: str
) -> list[dict[str, Any]]:
    """The cases that have one of the tasks ``names``, or none. If others are left out, the log says so.

    Args:
        cases: the cases.
        named: the tasks that each case names.
        names: the tasks to take.
        wanted: how they are called in messages.
    """
    selected = [dict(case) for case, own in zip(cases, named) if not own or not own.isdisjoint(names)]
    if len(selected) < len(cases):
        others = sorted(set().union(*(own for own in named if own.isdisjoint(names))))
        if not selected:
            raise ValueError(f"no case of the task {wanted!r}: its cases name {listing(others)}")
        logger.info("task %s: %d of %d cases; the others are of %s", wanted, len(selected), len(cases), listing(others))
    return selected


def image_files(case: Mapping[str, Any]) -> list[str]:
    """The files of a case's image, one per channel."""
    image = case["image"]
    return [str(file) for file in image] if isinstance(image, (list, tuple)) else [str(image)]


def image_entry(files: Sequence[str]) -> str | list[str]:
    """The ``image`` of a datalist entry, from one file per channel."""
    return files[0] if len(files) == 1 else list(files)


def first_section(path: Path) -> str:
    """The section of a datalist to segment: the first one with cases, from testing to training. The log names others.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the file is not JSON or has no cases; the message names the file.
    """
    content = read_json(path)
    sections = [name for name in _SECTIONS if content.get(name)]
    if not sections:
        raise ValueError(f"datalist {path} has no cases: expected a list under one of {', '.join(_SECTIONS)}")
    section, *others = sections
    if others:
        logger.info("%s: its section %r alone is segmented, not %s", path, section, listing(others))
    return section
