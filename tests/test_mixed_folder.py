"""A folder of scans of all kinds, segmented by the command into a relative path."""

import json
import subprocess
import sys

import itk
import numpy as np

# The command, with a guard: only the thread that starts it may change the working directory.
GUARDED = """
import os, sys, threading
from uniseg_nets.cli.command import main

def guarded(path, change=os.chdir):
    if threading.current_thread() is not threading.main_thread():
        raise AssertionError(f"{threading.current_thread().name} changes the working directory")
    change(path)

os.chdir = guarded
sys.argv = ["uniseg", *sys.argv[1:]]
main()
"""


def test_results_of_a_mixed_folder_land_in_a_relative_output_folder(write_scan, small_weights, tmp_path):
    volume = np.random.default_rng(0).normal(size=(24, 24, 12)).astype(np.float32) * 100
    for index in range(2):
        write_scan(f"scans/nifti{index}.nii.gz", volume, np.diag([3, 3, 6, 1]))
        for kind in ("nrrd", "mha", "mhd"):
            image = itk.image_from_array(volume.T.copy())
            image.SetSpacing([3.0, 3.0, 6.0])
            itk.imwrite(image, str(tmp_path / "scans" / f"{kind}{index}.{kind}"))
    words = ["segment", "scans", "out", "--task", "spleen", "--weights", str(small_weights), "--runtime", "torch"]
    command = [sys.executable, "-c", GUARDED, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names = {f"{kind}{index}" for kind in ("nifti", "nrrd", "mha", "mhd") for index in range(2)}
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {f"{name}.nii.gz" for name in names}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failed"] == {}
