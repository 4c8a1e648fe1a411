"""Bundles run as their users run them: by the command, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# OpenVINO cannot compute where oneDNN is held to lesser instructions.
needs_openvino = pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="ONEDNN_MAX_CPU_ISA is set")
OPENVINO = pytest.param("openvino", marks=needs_openvino)


def copied(bundle, folder):
    """A copy of a bundle under a folder outside the project, without runs and weights."""
    target = folder / "elsewhere" / bundle.name
    return Path(shutil.copytree(bundle, target, ignore=shutil.ignore_patterns("runs", "eval", "fold*", "*.pt")))


def run(verb, cwd, configs, folder=Path("configs"), **options):
    """`python -m monai.bundle VERB` with configs of a folder; an absolute config stays as it is. Returns the output."""
    return _output([], verb, cwd, configs, folder, options)


def run_on_two_ranks(cwd, configs, folder=Path("configs"), **options):
    """`python -m monai.bundle run` in two processes, as torchrun starts them. Returns the output of both."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return _output(launcher, "run", cwd, configs, folder, options)


def start_node(number, port, cwd, configs, folder=Path("configs"), **options):
    """One of two nodes of a training, each with one process, as torchrun starts it: loopback addresses for machines."""
    address = f"127.0.0.{number + 1}"
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--max_restarts=3"]
    launcher += ["--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}", f"--local_addr={address}"]
    return subprocess.Popen(
        _command(launcher, "run", configs, folder, options),
        cwd=cwd,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _output(launcher, verb, cwd, configs, folder, options):
    command = _command(launcher, verb, configs, folder, options)
    found = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    return found.stdout + found.stderr


def _command(launcher, verb, configs, folder, options):
    files = str([str(folder / config) for config in configs])
    command = [sys.executable, *launcher, "-m", "monai.bundle", verb, "--config_file", files]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return command
