"""Archives of the Medical Segmentation Decathlon, fetched through MONAI."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from monai import apps

__all__ = ["download_decathlon"]

logger = logging.getLogger(__name__)


def download_decathlon(archive: str, raw: Path) -> None:
    """Unpacks an archive to ``raw/ARCHIVE``, which appears whole or not at all; what is there already stays.

    Args:
        archive: such as ``Task04_Hippocampus``, a key of MONAI's table of addresses and hashes.
        raw: folder of the data set; the archive itself is kept there, too.

    Raises:
        OSError: no network, or a folder that cannot be written.
        ValueError: from MONAI, no download, or an archive that is not the published one; names the file.
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
