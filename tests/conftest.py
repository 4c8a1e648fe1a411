"""What the tests share: seeds, small weights, synthetic scans, and the folder of real ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.utils import set_determinism

from tests.running import copied
from uniseg_nets import UniSeg
from uniseg_nets.cli import command
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import Phantom, make_phantom
from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.weights.checkpoints import save_weights

SMALL = {"base_features": 8, "max_features": 16, "patch_size": [32, 64, 64]}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    set_determinism(seed=0)


@pytest.fixture(scope="session")
def table() -> TaskTable:
    return load_task_table()


@pytest.fixture(scope="session")
def open_tasks() -> TaskTable:
    """The tasks of the openly licensed data sets."""
    return load_task_table("open")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real scans and official outputs, or a skip."""
    folder = os.environ.get("UNISEG_TEST_DATA")
    if not folder:
        pytest.skip("real scans: name their folder in UNISEG_TEST_DATA")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def bundle() -> Path:
    return bundle_folder("uniseg_upstream")


@pytest.fixture
def without_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports as they are where the extra ``viewer`` is not installed."""
    monkeypatch.setattr("uniseg_nets.reports.viewer._niivue", lambda: None)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """The bundle elsewhere, without weights; a module's own ``bundle`` is the one copied."""
    return copied(bundle, tmp_path)


@pytest.fixture(scope="session")
def demo_weights(bundle: Path) -> Path:
    return bundle / "models" / "demo.pt"


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a very small network with random weights: its maps mean nothing, but cost little."""
    set_determinism(seed=0)
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    save_weights(UniSeg(**SMALL).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def prostate(table: TaskTable) -> Phantom:
    return make_phantom(table.one("prostate"), seed=3, orientation="RAS")


@pytest.fixture
def write_scan(tmp_path: Path) -> Callable[..., Path]:
    """Writes an array (x, y, z[, c]) as a NIfTI file of the test's folder."""

    def write(name: str, array: np.ndarray, affine: Any = None, kind: type = nib.Nifti1Image) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(kind(array, np.eye(4) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def uniseg(monkeypatch):
    """The command, run in this process; gives back its exit status."""

    def call(*arguments) -> int:
        monkeypatch.setattr("sys.argv", ["uniseg", *map(str, arguments)])
        try:
            command.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call
