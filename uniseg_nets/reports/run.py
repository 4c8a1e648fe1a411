"""A page on a whole run: for each case its figures, a picture and its slices to leaf through."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.transforms import Transform
from nibabel.orientations import apply_orientation, io_orientation

from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.files import write_csv, write_json
from uniseg_nets.reports.page import write_page
from uniseg_nets.reports.statistics import label_statistics
from uniseg_nets.reports.views import Views, write_preview
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map
from uniseg_nets.transforms.grid import on_grid_of
from uniseg_nets.transforms.load import LoadCase

__all__ = ["ReportCased", "RunReport"]

logger = logging.getLogger(__name__)


class ReportCased(Transform):
    """Writes the statistics and pictures of a case whose label map is saved: ``report/NAME.json`` and ``.png``.

    A case that cannot be reported is logged; its label map stays.

    Args:
        saver: what wrote the label map.
        cases: the run's cases, each with ``name`` and ``image``.
    """

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]]) -> None:
        self.saver = saver
        self.images = {case["name"]: case["image"] for case in cases}

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        name = data[self.saver.name_key]
        try:
            # The task's channels, so that of a DICOM folder the series is shown that was segmented.
            task = self.saver.tasks.select(data["task"] if self.saver.task is None else self.saver.task)[0]
            report_case(name, self.images[name], self.saver.output_dir, task.channels)
        except (ValueError, OSError) as error:
            logger.error("no report on %s: %s", name, error)
        return data


class RunReport:
    """After the last case writes the page on what :class:`ReportCased` left in a run's folder.

    ``statistics.csv``, ``statistics.json`` and ``report.html``, which shows all cases there, those of earlier runs too,
    and works from a file without a server.

    Args:
        saver: what writes the label maps.
    """

    def __init__(self, saver: SaveLabelMapd) -> None:
        self.saver = saver

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.COMPLETED, lambda: write_report(self.saver.output_dir))


def report_case(
    name: str, image: Any, folder: str | PathLike[str], modalities: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Writes ``FOLDER/report/NAME.json`` and ``.png`` on ``FOLDER/NAME.nii.gz``; returns the statistics.

    Args:
        name: the case's.
        image: its files.
        folder: of the results.
        modalities: what the channels are, see :class:`~uniseg_nets.transforms.load.LoadCase`.

    Raises:
        FileNotFoundError, ValueError: the scan or the label map cannot be read, or their voxels lie at different
            places.
    """
    folder = Path(folder)
    found, names, facts = read_label_map(folder, name)
    affine = found.affine.numpy()
    label = found[0].numpy()
    scan = LoadCase(modalities)(image)
    # Of several channels the last one counts and is shown, which for PET/CT is the PET.
    shown = on_grid_of(scan.as_tensor()[-1], scan.affine, label.shape, affine).numpy()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    rows = label_statistics(label, shown, affine[:3, :3], names)
    turn = io_orientation(affine)
    volumes = [np.asarray(apply_orientation(volume, turn)) for volume in (np.nan_to_num(shown), label)]
    views = Views(volumes[0], volumes[1], [float(mm) for mm in spacing[np.argsort(turn[:, 0])]], names)
    write_preview(views, folder / "report" / f"{name}.png")
    content = {"name": name, "task": facts["task"], "classes": rows, "slices": views.slices()}
    write_json(folder / "report" / f"{name}.json", content)
    return rows


def write_report(folder: str | PathLike[str]) -> Path | None:
    """Gathers what :func:`report_case` wrote into ``statistics.csv``, ``statistics.json`` and ``report.html``."""
    folder = Path(folder)
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "report").glob("*.json"))]
    if not cases:
        return None
    rows = [{"case": case["name"], "task": case["task"], **row} for case in cases for row in case["classes"]]
    write_json(folder / "statistics.json", rows)
    write_csv(folder / "statistics.csv", rows)
    page = folder / "report.html"
    write_page(cases, page)
    logger.info("wrote %s", page)
    return page
