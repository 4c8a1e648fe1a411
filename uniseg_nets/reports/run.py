"""The report of a run: per case its statistics, a picture and slices to browse."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from ignite.engine import Events

from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.handlers.run_log import refuse_others
from uniseg_nets.io.files import csv_rows, json_rows, write_json
from uniseg_nets.io.names import REDUCED_ENDINGS, REPORT_PAGES
from uniseg_nets.io.provenance import read_record
from uniseg_nets.quality.verdict import OK, WORDS
from uniseg_nets.reports.collect import reported_cases, rows_of
from uniseg_nets.reports.page import FAILED, write_page
from uniseg_nets.reports.reduced import reduced
from uniseg_nets.reports.statistics import label_statistics
from uniseg_nets.reports.viewer import has_viewer
from uniseg_nets.reports.views import Views, write_preview
from uniseg_nets.reports.windows import window_presets
from uniseg_nets.transforms.derived import CaseExport
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map
from uniseg_nets.transforms.grid import on_grid_of
from uniseg_nets.transforms.load import LoadCase
from uniseg_nets.transforms.result import OF_THE_VERDICT
from uniseg_nets.version import __version__

__all__ = ["ReportCased", "RunReport"]

logger = logging.getLogger(__name__)


class ReportCased(CaseExport):
    """Writes the statistics and pictures of a case whose label map is saved: ``report/NAME.json`` and ``.png``.

    Args:
        saver, cases: see :class:`~uniseg_nets.transforms.derived.CaseExport`.
    """

    what = "report"

    def made_of(self, name: str) -> str | None:
        path = self.saver.output_dir / "report" / f"{name}.json"
        record = read_record(path) or {}
        if not path.with_name(f"{name}.png").is_file() or (has_viewer() and "windows" not in record):
            return None  # without the files of the viewer, which was installed since
        return record.get("made_of")

    def make(self, case: Mapping[str, Any], fingerprint: str) -> None:
        # The task's channels select the segmented series of a DICOM folder.
        task = self.saver.tasks.select(self.task)[0]
        report_case(case["name"], case["image"], self.saver.output_dir, task.channels, fingerprint)


class RunReport:
    """Writes ``statistics.csv``, ``statistics.json`` and ``report.html`` after the last case.

    They include all cases for which :class:`ReportCased` wrote files into the folder, also those of earlier runs. The
    page needs no server.

    Args:
        saver: writer of the label maps.

    Raises:
        ValueError: if the folder has files of these names that this package did not write.
    """

    def __init__(self, saver: SaveLabelMapd) -> None:
        refuse_others(saver.output_dir, REPORT_PAGES)
        self.saver = saver

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.COMPLETED, lambda: write_report(self.saver.output_dir))


def report_case(
    name: str, image: Any, folder: str | PathLike[str], modalities: Sequence[str] = (), made_of: str = ""
) -> list[dict[str, Any]]:
    """Writes ``FOLDER/report/NAME.json`` and ``.png`` on ``FOLDER/NAME.nii.gz``; returns the statistics.

    Args:
        name: name of the case.
        image: its files.
        folder: folder of the results.
        modalities: modalities of the channels, see :class:`~uniseg_nets.transforms.load.LoadCase`.
        made_of: fingerprint of the label map.

    Raises:
        FileNotFoundError, ValueError: if the scan or the label map cannot be read, or their voxels are at different
            positions.
    """
    folder = Path(folder)
    label_map, names, record = read_label_map(folder, name)
    affine = label_map.affine.numpy()
    label = label_map[0].numpy()
    scan = LoadCase(modalities)(image)
    # Of several channels the last one is measured and shown: the PET of PET/CT.
    shown = on_grid_of(scan.as_tensor()[-1], scan.affine, label.shape, affine).numpy()
    rows = label_statistics(label, shown, affine[:3, :3], names)
    views = Views.of(shown, label, affine, names)
    pictures = folder / "report"
    write_preview(views, pictures / f"{name}.png")
    content = {"name": name, "task": record["task"], "classes": rows, "slices": []}
    if has_viewer():
        small = reduced(views)
        small.write(*(pictures / f"{name}{ending}" for ending in REDUCED_ENDINGS))
        content["centre"] = small.centre
        content["windows"] = window_presets(views.image, modalities[-1] if modalities else None)
    else:
        content["slices"] = views.slices()
    content |= {key: record[key] for key in ("written", "weights_sha256", *OF_THE_VERDICT) if key in record}
    origin = {"made_of": made_of, "versions": {"uniseg_nets": __version__}}
    write_json(pictures / f"{name}.json", content | origin)
    return rows


def write_report(folder: str | PathLike[str], verdicts: Container[str] = WORDS) -> Path | None:
    """Writes ``statistics.csv``, ``statistics.json`` and ``report.html`` from the files of :func:`report_case`.

    Refused and failed cases are included; cases that need eyes come first. One case after the other is read.

    Args:
        folder: folder of the results.
        verdicts: which cases the pages show; the tables have all of them.

    Returns:
        The page; ``None`` if there is no case to report.
    """
    folder = Path(folder)
    cases = reported_cases(folder)
    first = next(cases, None)
    if first is None:
        return None
    page = folder / "report.html"
    with csv_rows(folder / "statistics.csv") as to_csv, json_rows(folder / "statistics.json") as to_json:

        def shown() -> Iterator[dict[str, Any]]:
            for case in chain([first], cases):
                for row in rows_of(case):
                    to_csv(row)
                    to_json(row)
                word = case.get("verdict") or OK
                if word == FAILED or word in verdicts:
                    yield case

        write_page(shown(), page)
    logger.info("wrote %s", page)
    return page
