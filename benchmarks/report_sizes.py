"""How large a report's pages are: python -m benchmarks.report_sizes FOLDER_OF_SCANS FOLDER_OF_LABELS OUT

Every case of an nnU-Net folder of MR is reported, with its reference as the label map, and again under further names
until there are 1, 50 and 1,000 cases.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from pathlib import Path

from uniseg_nets.io.files import write_json
from uniseg_nets.reports.run import report_case, write_report
from uniseg_nets.version import __version__


def main(scans: Path, labels: Path, out: Path) -> None:
    templates = out / "templates"
    names = []
    for label in sorted(labels.glob("*.nii.gz")):
        name = label.name.removesuffix(".nii.gz")
        names.append(name)
        templates.mkdir(parents=True, exist_ok=True)
        shutil.copy(label, templates / label.name)
        made_by = {"versions": {"uniseg_nets": __version__}}
        own = {"task": "sizes", "labels": {"1": "class"}, "label_map": label.name, **made_by}
        write_json(templates / f"{name}.json", own)
        start = time.perf_counter()
        report_case(name, str(scans / f"{name}_0000.nii.gz"), templates, ["MR"])
        print(f"{name}: reported in {time.perf_counter() - start:.2f} s")
    for cases in (1, 50, 1000):
        folder = out / str(cases)
        (folder / "report").mkdir(parents=True)
        for number in range(cases):
            name, copy = names[number % len(names)], f"case_{number:04d}"
            for file in (templates / "report").glob(f"{name}.*"):
                (folder / "report" / f"{copy}{file.name.removeprefix(name)}").symlink_to(file.resolve())
            record = json.loads((templates / "report" / f"{name}.json").read_text())
            (folder / "report" / f"{copy}.json").unlink()
            write_json(folder / "report" / f"{copy}.json", record | {"name": copy})
            (folder / f"{copy}.json").symlink_to((templates / f"{name}.json").resolve())
        start = time.perf_counter()
        write_report(folder)
        pages = [folder / "report.html", *sorted((folder / "report" / "pages").glob("*.html"))]
        sizes = [page.stat().st_size / 1e6 for page in pages]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{cases} cases: report.html {sizes[0]:.2f} MB, {len(sizes) - 1} further pages of at most "
            f"{max(sizes[1:], default=0):.1f} MB, {time.perf_counter() - start:.1f} s, peak memory {peak:.2f} GB"
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
