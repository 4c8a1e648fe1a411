"""A federation of processes on loopback by Flower, encrypted: three sites, one of them killed and back."""

import datetime
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.test_federated import ENTRY, data, site  # noqa: F401 - a fixture
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.trained_task import task_of

pytest.importorskip("flwr")

APP = Path(__file__).parents[1] / "docs" / "federated"
BIN = Path(sys.executable).parent


def write_certificates(folder):
    """``ca.crt``, an authority, and ``server.crt`` and ``server.key`` of a server at 127.0.0.1 that it has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def certificate(name, key, authority, extension):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named("authority"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        signed = builder.add_extension(extension, critical=False).sign(authority, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def named(name):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    at = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ca = certificate("authority", authority, authority, x509.BasicConstraints(ca=True, path_length=None))
    (folder / "ca.crt").write_bytes(ca)
    (folder / "server.crt").write_bytes(certificate("server", server, authority, at))
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(server.private_bytes(serialization.Encoding.PEM, kind, none))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Federation:
    """The processes of a federation, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.processes = {}
        (folder / "home").mkdir()
        write_certificates(folder)
        address = (
            f'[superlink.loopback]\naddress = "127.0.0.1:{self.port}"\nroot-certificates = "{folder / "ca.crt"}"\n'
        )
        (folder / "home" / "config.toml").write_text(address)
        shutil.copytree(APP, folder / "app")
        certificates = ("--ssl-ca-certfile=ca.crt", "--ssl-certfile=server.crt", "--ssl-keyfile=server.key")
        port = f"--port={self.port}"
        self.start("server", "flower-superlink", port, *certificates, "--disable-runtime-dependency-installation")

    def start(self, name, program, *arguments):
        mine = {
            "FLWR_HOME": str(self.folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "PYTHONPATH": str(APP.parents[1]),
        }
        own = os.environ | mine | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [str(BIN / program), *arguments],
            cwd=self.folder,
            env=own,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def start_site(self, name):
        config = f'site="{self.folder / name / "site.json"}"'
        link = (f"--superlink=127.0.0.1:{self.port}", "--root-certificates=ca.crt")
        self.start(name, "flower-supernode", *link, f"--port={free_port()}", f"--node-config={config}")

    def kill(self, name):
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.processes.pop(name).pid, signal.SIGKILL)

    def stop(self):
        """Ends all processes; the server ends those that it started, in sessions of their own."""
        for process in self.processes.values():
            process.terminate()
        for name, process in list(self.processes.items()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            self.kill(name)

    def rounds(self):
        path = self.folder / "out" / "rounds.json"
        return json.loads(path.read_text()) if path.is_file() else []

    def wait_for(self, what, seconds=1500):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.folder / "run.log").read_text()[-3000:]
            time.sleep(1)


@pytest.fixture
def federation(tmp_path):
    one = Federation(tmp_path)
    yield one
    one.stop()


@pytest.mark.slow
def test_a_site_that_was_killed_is_missed_for_a_round_and_takes_part_again(federation, data, tmp_path):  # noqa: F811
    names = ("east", "north", "south")
    sites = [site(tmp_path / name, data, travels="prompts", private=["task_prompts.universal"]) for name in names]
    save_weights(sites[0].initial(), tmp_path / "initial.pt", task={"task_entry": ENTRY})
    time.sleep(15)
    for name in names:
        federation.start_site(name)
    time.sleep(15)
    told = f'initial="{tmp_path / "initial.pt"}" output="{tmp_path / "out"}" rounds=8 timeout=900'
    federation.start("run", "flwr", "run", "app", "loopback", "--stream", "--run-config", told)
    federation.wait_for(lambda: len(federation.rounds()) >= 1)
    federation.kill("east")
    federation.wait_for(lambda: any("east" not in {*one["trained"]} & {*one["dice"]} for one in federation.rounds()))
    federation.start_site("east")
    federation.wait_for(
        lambda: "east" in federation.rounds()[-1]["trained"] and "east" in federation.rounds()[-1]["dice"]
    )
    rounds = federation.rounds()
    assert {"north", "south"} <= set(rounds[-1]["trained"])
    assert all(one["bytes_up"] > 0 for one in rounds)
    assert (tmp_path / "out" / "final.pt").is_file() and (tmp_path / "out" / "best.pt").is_file()
    assert all(task_of(tmp_path / "out" / name) == {"task_entry": ENTRY} for name in ("final.pt", "best.pt"))
