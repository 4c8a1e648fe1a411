"""The demonstration: runs the bundle on files, with weights from the package.

It segments synthetic patients with the demo weights and a real brain with the open weights, or real scans that are not
in the training data of the open weights.
"""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

from uniseg_nets.demo.brain import segment_brain
from uniseg_nets.demo.decathlon import segment_decathlon
from uniseg_nets.demo.phantoms import segment_phantoms
from uniseg_nets.demo.table import as_text
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.io.files import write_json
from uniseg_nets.reports.preview import save_preview

__all__ = ["run_demo", "run_real_demo"]

logger = logging.getLogger(__name__)


def run_demo(output: str | PathLike[str]) -> str:
    """Writes scans, label maps, ``results.json`` and ``preview.png`` under ``output``; returns the table as text.

    Without nilearn, which contains the brain, only the synthetic patients are segmented.
    """
    output = Path(output)
    rows, pictures = segment_phantoms(output)
    try:
        more, brain = segment_brain(output)
        rows, pictures = [*more, *rows], [*brain, *pictures]
    except NotInstalledError as error:
        logger.warning("%s", error)
    write_json(output / "results.json", rows)
    save_preview(pictures, output / "preview.png")
    return (
        f"{as_text(rows)}\nHippocampi: the ICBM152 template, an average of 152 real brains, and the open weights. "
        f"Others: synthetic patients, and weights trained on synthetic patients only. Files: {output}"
    )


def run_real_demo(output: str | PathLike[str]) -> str:
    """Like :func:`run_demo`, on Decathlon scans that are not in the training data of the open weights.

    Raises:
        OSError, ValueError: if the download fails, see :func:`uniseg_nets.prepare.download.download_decathlon`.
    """
    output = Path(output)
    rows, pictures = segment_decathlon(output)
    write_json(output / "results.json", rows)
    save_preview(pictures, output / "preview.png")
    return (
        f"{as_text(rows)}\nHippocampi of the Medical Segmentation Decathlon (Task04, CC BY-SA 4.0) that are not among "
        f"the training cases of the open weights. Files: {output}"
    )
