"""`uniseg merge` of many simulated cases: python -m benchmarks.scale.simulate OUT CASES [flagged]

One phantom is reported. Its record, its report part and links to its pictures are then those of all cases, under other
names, with a log for each 100 cases. Of 1,000 cases 10 are refused, 50 are to check and 5 failed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from uniseg_nets.io.files import write_json
from uniseg_nets.phantom import make_phantom
from uniseg_nets.quality.verdict import CHECK, OK, REFUSED, WORDS
from uniseg_nets.reports.merge import merge_runs
from uniseg_nets.reports.run import report_case
from uniseg_nets.tasks import load_task_table
from uniseg_nets.version import __version__

PER_LOG = 100
TIME = "2026-01-01T00:00:00+00:00"
PROVENANCE = {"versions": {"uniseg_nets": __version__}}


def main(out: Path, cases: int, flagged: bool) -> None:
    template = write_template(out / "template")
    results = out / f"of_{cases}"
    if not results.is_dir():
        write_results(template, results, cases)
    written, start = blocks(), time.perf_counter()
    record = merge_runs(results, (REFUSED, CHECK) if flagged else WORDS)
    seconds = time.perf_counter() - start
    pages = [path.stat().st_size / 1e6 for path in (results / "report" / "pages").glob("*.html")]
    index, table = ((results / name).stat().st_size / 1e6 for name in ("report.html", "statistics.csv"))
    print(
        f"{record['cases']} cases, {len(record['failed'])} failed: {seconds:.0f} s, peak memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, written "
        f"{(blocks() - written) * 512 / 1e6:.0f} MB; index {index:.2f} MB, {len(pages)} pages of at most "
        f"{max(pages, default=0):.2f} MB, statistics.csv {table:.1f} MB, logs "
        f"{sum(log.stat().st_size for log in (results / 'log').iterdir()) / 1e6:.1f} MB"
    )


def blocks() -> int:
    """Blocks of 512 bytes that this process has written."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_oublock


def write_template(folder: Path) -> Path:
    """A reported case: the phantom of a CT of 5 mm, with its reference as the label map."""
    task = load_task_table().one("spleen")
    phantom = make_phantom(task, 0, spacing=(5, 5, 5))
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(phantom.image[0].astype(np.int16), phantom.affine), folder / "scan.nii.gz")
    nib.save(nib.Nifti1Image(phantom.label.astype(np.uint8), phantom.affine), folder / "case.nii.gz")
    record = {"label_map": "case.nii.gz", "task": task.name, "labels": {"1": "spleen"}, **PROVENANCE}
    write_json(folder / "case.json", record)
    report_case("case", str(folder / "scan.nii.gz"), folder, task.channels)
    return folder


def write_results(template: Path, folder: Path, cases: int) -> None:
    record, part = (json.loads((template / name).read_text()) for name in ("case.json", "report/case.json"))
    pictures = [path for path in (template / "report").iterdir() if path.name != "case.json"]
    (folder / "report").mkdir(parents=True)
    (folder / "log").mkdir()
    for first in range(0, cases, PER_LOG):
        lines: list[dict[str, Any]] = [
            {"started": TIME, "host": "simulated", "cases": PER_LOG, "provenance": PROVENANCE}
        ]
        for number in range(first, min(first + PER_LOG, cases)):
            name, verdict = f"case_{number:06d}", verdict_of(number)
            line: dict[str, Any] = {"case": name, "written": TIME}
            if verdict is None:
                lines.append(line | {"failed": "case.nii.gz is no scan"})
                continue
            lines.append(line | {"seconds": 30.0, "verdict": verdict})
            own = record | verdict | {"label_map": f"{name}.nii.gz"}
            if verdict["verdict"] == REFUSED:
                del own["label_map"]
            else:
                for path in pictures:
                    (folder / "report" / f"{name}{path.name.removeprefix('case')}").symlink_to(path.resolve())
                (folder / "report" / f"{name}.json").write_text(json.dumps(part | verdict | {"name": name}))
                (folder / f"{name}.nii.gz").touch()
            (folder / f"{name}.json").write_text(json.dumps(own))
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / "log" / f"{first:06d}.jsonl").write_text(text)


def verdict_of(number: int) -> dict[str, object] | None:
    """What the record of a case says of its verdict; ``None``: it failed."""
    kind = number % 1000
    if kind < 5:
        return None
    if kind < 15:
        return {"verdict": REFUSED, "reasons": ["The scan has 2 slices: expected at least 8."]}
    estimate = {"estimated_dice": 0.6 + kind / 3000, "estimate_error": 0.05}
    if kind < 65:
        return {"verdict": CHECK, "reasons": ["The spleen is cut off by the edge of the scan."], **estimate}
    return {"verdict": OK, "reasons": [], **estimate}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "flagged" in sys.argv[3:])
