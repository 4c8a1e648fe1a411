"""Real scans with references: Decathlon hippocampi that are not in the training data of the open weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uniseg_nets.demo.cases import DemoCase, segment_cases
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.prepare.download import download_decathlon
from uniseg_nets.reports.preview import PreviewRow
from uniseg_nets.tasks import load_task_table

__all__ = ["segment_decathlon"]

_ARCHIVE = "Task04_Hippocampus"
_CASES = 8
_PICTURED = 4


def segment_decathlon(output: Path) -> tuple[list[dict[str, Any]], list[PreviewRow]]:
    """Downloads the archive to ``output/raw`` (27 MB) and segments the first cases without use in training.

    Raises:
        OSError, ValueError: see :func:`~uniseg_nets.prepare.download.download_decathlon`.
        FileNotFoundError: if the archive has no labelled cases that are new to the weights.
    """
    download_decathlon(_ARCHIVE, output / "raw")
    trained = set(read_json(bundle_folder("uniseg_upstream") / "docs" / "open_cases.json")["hippocampus"]["training"])
    root = output / "raw" / _ARCHIVE
    labels = [
        path
        for path in sorted((root / "labelsTr").glob("[!.]*.nii.gz"))
        if path.name.removesuffix(".nii.gz") not in trained
    ]
    if not labels:
        raise FileNotFoundError(f"{root / 'labelsTr'} has no case that is new to the open weights")
    cases = [
        DemoCase(path.name.removesuffix(".nii.gz"), [str(root / "imagesTr" / path.name)], str(path))
        for path in labels[:_CASES]
    ]
    rows, pictures = segment_cases(cases, load_task_table("open").one("hippocampus"), output, ["open.json"])
    return rows, pictures[:_PICTURED]
