"""Downloads archives of the Medical Segmentation Decathlon with MONAI."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from monai import apps

__all__ = ["download_decathlon"]

logger = logging.getLogger(__name__)


def download_decathlon(archive: str, raw: Path) -> None:
    """Downloads an archive and unpacks it to ``raw/ARCHIVE``, whole or not at all. An existing folder stays.

    Args:
        archive: key of MONAI's table of URLs and hashes, such as ``Task04_Hippocampus``.
        raw: folder of the data set, which also keeps the archive itself.

    Raises:
        OSError: if there is no network, or the folder cannot be written.
        ValueError: if the download fails, or the archive is not the published one; the message names the file.
    """
    target = raw / archive
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
