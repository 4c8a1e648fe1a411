"""The archives of the Medical Segmentation Decathlon: downloads them with MONAI, and tells them apart."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

from monai import apps

from uniseg_nets.io.files import read_json

__all__ = ["download_decathlon", "refuse_other_archive"]

logger = logging.getLogger(__name__)


def download_decathlon(archive: str, raw: Path) -> None:
    """Downloads an archive and unpacks it to ``raw/ARCHIVE``, whole or not at all. An existing folder stays.

    Args:
        archive: key of MONAI's table of URLs and hashes, such as ``Task04_Hippocampus``.
        raw: folder of the data set, which also keeps the archive itself.

    Raises:
        OSError: if there is no network, or the folder cannot be written.
        ValueError: if the download fails, the archive is not the published one, or the folder is of another task; the
            message names the file.
    """
    target = raw / archive
    if not target.is_dir() and (raw / "labelsTr").is_dir():
        refuse_other_archive(raw, archive)
    if target.is_dir() or (raw / "labelsTr").is_dir():
        logger.info("%s is there already, not downloaded again", archive)
        return
    raw.mkdir(parents=True, exist_ok=True)
    file = raw / f"{archive}.tar"
    known = apps.DecathlonDataset
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=raw) as folder:
        try:
            apps.download_and_extract(known.resource[archive], file, folder, known.md5[archive], hash_type="md5")
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{archive} was not fetched: {error}; a broken {file} has to be deleted first") from error
        (Path(folder) / archive).rename(target)


def refuse_other_archive(folder: Path, archive: str) -> None:
    """Refuses a folder of another task: by the name in its ``dataset.json``, or else by its own name.

    Args:
        folder: folder with ``labelsTr``.
        archive: the expected archive, such as ``Task04_Hippocampus``.

    Raises:
        ValueError: if it is of another task; the message names the folder and both tasks.
    """
    description = folder / "dataset.json"
    where, name = "its dataset.json", str(read_json(description).get("name", "")) if description.is_file() else ""
    if _subject(name) not in _SUBJECTS:
        where, name = "its name", folder.resolve().name
    if _subject(name) in _SUBJECTS - {_subject(archive)}:
        raise ValueError(
            f"{folder} is {name!r} by {where}, expected {archive}: name the folder of {archive}, or prepare the "
            "data set that it is"
        )


def _subject(name: str) -> str:
    """``hepaticvessel`` of ``Task08_HepaticVessel`` or ``Hepatic Vessel``: the letters alone."""
    return re.sub(r"^task|[^a-z]", "", name.lower())


_SUBJECTS = {_subject(archive) for archive in apps.DecathlonDataset.resource}
