"""Two devices with ssh on which pi-detector never was."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest
from fleet import SOAK_S, Fleet, free_port, give_ssh, make_user
from given import Given

NAMES = ("canary", "second")


@pytest.fixture(scope="session")
def broker() -> Iterator[int]:
    """The port of an MQTT broker, which all machines reach at 127.0.0.1."""
    port = free_port()
    command = ["setpriv", "--pdeathsig=KILL", "mosquitto", "-p", str(port)]
    path = os.environ["PATH"] + ":/usr/sbin"
    with subprocess.Popen(command, env={"PATH": path}, stderr=subprocess.DEVNULL) as process:
        yield port
        process.terminate()


@pytest.fixture(scope="session")
def fleet(given: Given, broker: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An inventory that rolls the package out, with the demonstration as the camera."""
    folder = tmp_path_factory.mktemp("fleet")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    variables = {
        "pi_detector_version": given.deb.name.split("_")[1].split("+")[0],
        "pi_detector_package_dir": str(given.deb.parent),
        "pi_detector_soak_s": SOAK_S,
        "pi_detector_health_timeout_s": 40,
        "pi_detector_settings": {
            "source": {"uri": "demo:", "fps": 2},
            "mqtt": {
                "host": "127.0.0.1",
                "port": broker,
                "name": "{{ inventory_hostname }}",
                "username": "detector",
                "password": "${secret:broker}",
            },
        },
        "pi_detector_secrets": {"broker": "the password"},
    }
    devices = {name: given.machine() for name in NAMES}
    ports = {name: free_port() for name in NAMES}
    with contextlib.ExitStack() as stack:
        for name, machine in devices.items():
            give_ssh(machine, ports[name])
            stack.enter_context(machine)
            make_user(machine, key.with_suffix(".pub").read_text())
        # Both have the key of the Debian that they were made from.
        host_key = devices["canary"].read("/etc/ssh/ssh_host_ed25519_key.pub")
        lines = [f"[127.0.0.1]:{port} {host_key}" for port in ports.values()]
        (folder / "known_hosts").write_text("".join(lines))
        yield Fleet(folder, devices, ports, variables)
