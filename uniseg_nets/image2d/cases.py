"""Finds the 2D images at a path, with their modalities."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.cases import names_with_folders, unique
from uniseg_nets.data.datalist import first_section, image_files, load_datalist
from uniseg_nets.io.names import PICTURE_ENDINGS, without_ending
from uniseg_nets.io.provenance import is_result

__all__ = ["find_pictures", "load_pictures", "without_labels"]


def find_pictures(
    source: str | PathLike[str], modality: str = "auto", output_dir: str | PathLike[str] | None = None
) -> list[dict[str, Any]]:
    """Finds the images at ``source``, each ``{"name", "image", "modality"}``, sorted by name, without masks.

    Names that occur in several sub-folders get the sub-folder as a prefix, as for 3D scans.

    Args:
        source: an image, a MONAI datalist, or a folder: that of a ``datalist.json``, else it is searched with its
            sub-folders, except for hidden ones.
        modality: modality of the images, if a datalist does not name it. With ``auto`` the network recognises it.
        output_dir: folder for the results, which is not searched. Results of earlier runs are skipped everywhere.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        ValueError: if two images of a folder or of a datalist share a name, or the file type is unknown.
    """
    source = Path(source).absolute()
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}")
    cases: list[dict[str, Any]] = []
    if (source / "datalist.json").is_file():
        source = source / "datalist.json"
    if source.suffix.lower() == ".json":
        cases = _listed(source, first_section(source), None)
    else:
        results = None if output_dir is None else Path(output_dir).resolve()
        files = _files(source, results)
        names = names_with_folders([(path.parent, path.stem) for path in files], source, results, "images")
        cases = [{"name": name, "image": str(path)} for name, path in zip(names, files)]
    return unique(without_labels([{"modality": modality, **case} for case in cases]), "images")


def load_pictures(
    path: str | PathLike[str],
    section: str,
    modalities: Sequence[str],
    base_dir: str | PathLike[str] | None = None,
    optional: bool = False,
    apart: str | None = None,
    needed: str | None = None,
) -> list[dict[str, Any]]:
    """Loads the images of one section of a MONAI datalist, each with a known ``modality``.

    Args:
        path, section, base_dir, optional, apart: as for :func:`~uniseg_nets.data.load_datalist`.
        modalities: modalities of the network.
        needed: a modality that at least one image must have, such as the one to train.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if there is no such section, an image is in the section ``apart`` too, or has no modality or an
            unknown one, or none has the needed one; the message names it.
    """
    cases = _listed(path, section, base_dir, optional, apart)
    for case in cases:
        if case.get("modality") not in modalities:
            raise ValueError(
                f"datalist {path}: image {case['name']} is of modality {case.get('modality')!r}, "
                f"expected one of {', '.join(modalities)}"
            )
    if needed is not None and all(case["modality"] != needed for case in cases):
        raise ValueError(
            f"datalist {path}: {section!r} has no image of modality {needed!r}, which is to be trained: give its "
            "images this modality, or name another one with --new_modality"
        )
    return cases


def without_labels(cases: Sequence[dict[str, Any]], modality: str | None = None) -> list[dict[str, Any]]:
    """The cases without their masks and, if ``modality`` is given, all with this modality."""
    named = {} if modality is None else {"modality": modality}
    return [{key: value for key, value in case.items() if key != "label"} | named for case in cases]


def _listed(
    path: str | PathLike[str],
    section: str,
    base_dir: str | PathLike[str] | None,
    optional: bool = False,
    apart: str | None = None,
) -> list[dict[str, Any]]:
    """The entries of a datalist. Images without a name get that of their file."""
    cases = []
    for case in load_datalist(path, section, base_dir, optional, apart=apart):
        name, files = without_ending(str(case["name"]), PICTURE_ENDINGS), image_files(case)
        if len(files) != 1:
            raise ValueError(f"datalist {path}: case {name} has {len(files)} images, expected one")
        cases.append(case | {"name": name, "image": files[0]})
    return cases


def _files(source: Path, results: Path | None) -> list[Path]:
    if source.is_file():
        if not _is_picture(source):
            raise ValueError(f"{source} is of an unknown kind: images are {', '.join(PICTURE_ENDINGS)}")
        return [source]
    if results == source.resolve():
        raise ValueError(f"the results would lie among the images in {source}: choose another output folder")
    files = [path for path in source.rglob("*") if _is_picture(path) and results not in path.resolve().parents]
    files = [path for path in files if not is_result(path) and not _is_hidden(path.relative_to(source))]
    if not files:
        raise FileNotFoundError(f"no image in {source}: expected {', '.join(PICTURE_ENDINGS)}")
    return files


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in PICTURE_ENDINGS


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
