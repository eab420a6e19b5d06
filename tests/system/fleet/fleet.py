"""Two devices of a fleet, reached by ssh, and the host that rolls out to them with Ansible."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from given import CHECKOUT
from machine import Machine

UNIT = "pi-detector.service"
MODELS = "/usr/local/share/pi-detector/models"
SETTINGS = "/etc/pi-detector/config.toml"
PLAYBOOKS = CHECKOUT / "deploy/fleet"
ANSIBLE = Path(os.environ["FLEET_VENV"], "bin")
PLAY_S = 400.0
SOAK_S = 6


@dataclass(frozen=True)
class Run:
    """What a playbook did.

    Attributes:
        rc: exit code.
        output: all that it said.
        tasks: by device, how many tasks were `ok`, `changed`, `failed`, ... .
    """

    rc: int
    output: str
    tasks: dict[str, dict[str, int]]


@dataclass
class Fleet:
    """The host's side: an inventory, a key, the playbooks.

    Attributes:
        folder: for the inventory and what Ansible keeps.
        devices: by name, in the order of the roll-out.
        variables: of the inventory, for all devices.
        own: further variables by device.
    """

    folder: Path
    devices: dict[str, Machine]
    ports: dict[str, int]
    variables: dict[str, Any]
    own: dict[str, dict[str, Any]] = field(default_factory=dict)

    def play(self, playbook: str, *options: str) -> Run:
        """Run a playbook over ssh."""
        hosts = {
            name: {"ansible_port": port, **self.own.get(name, {})}
            for name, port in self.ports.items()
        }
        reach = {
            "ansible_host": "127.0.0.1",
            "ansible_user": "pi",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
        }
        groups = {"pi_detectors": {"hosts": hosts, "vars": reach | self.variables}}
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps(groups))
        known = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=yes"
        done = subprocess.run(
            [ANSIBLE / "ansible-playbook", "-i", inventory, playbook, *options],
            cwd=PLAYBOOKS,
            env={
                "PATH": f"{ANSIBLE}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=30s {known}",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PLAY_S,
            check=False,
        )
        output = done.stdout + done.stderr
        sys.stdout.write(output)  # which pytest shows of a test that fails
        return Run(done.returncode, output, recap(output))

    def model(self, name: str, bundle: Path, sha256: str) -> None:
        """Have the inventory name a model."""
        self.variables["pi_detector_model"] = {"name": name, "path": str(bundle), "sha256": sha256}


def recap(output: str) -> dict[str, dict[str, int]]:
    """The figures of Ansible's last lines, by device."""
    lines = re.findall(r"^(\w+) +: (ok=.*)$", output, re.MULTILINE)
    return {
        name: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", figures)}
        for name, figures in lines
    }


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def give_ssh(machine: Machine, port: int) -> None:
    """Have the machine, which is off, listen for ssh at a port of its own once it boots.

    The machines share the network of the host.
    """
    file = machine.upper / "etc/ssh/sshd_config.d/test.conf"
    file.parent.mkdir(parents=True)
    file.write_text(f"Port {port}\nListenAddress 127.0.0.1\nPasswordAuthentication no\n")


def make_user(machine: Machine, public_key: str) -> None:
    """Make the user of a Raspberry Pi OS, who may become root."""
    machine.run("useradd --create-home --shell /bin/bash pi")
    machine.write("/home/pi/.ssh/authorized_keys", public_key)
    machine.run("chown -R pi:pi /home/pi/.ssh && chmod 700 /home/pi/.ssh")
    machine.write("/etc/sudoers.d/pi", "pi ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)


def make_bundle(folder: Path, name: str, *, tail: bytes = b"", cut: int = 0) -> tuple[Path, str]:
    """The bundled model under another name, with another SHA-256.

    Bytes behind the model do not count for it; one that is ``cut`` bytes shorter is damaged.
    Returns the bundle and its SHA-256.
    """
    import hashlib

    bundle = folder / name
    shutil.copytree(CHECKOUT / "models/street", bundle)
    model = bundle / "model.tflite"
    data = model.read_bytes()
    data = data[: len(data) - cut] + tail
    model.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    manifest = bundle / "manifest.toml"
    text = re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{sha256}"', manifest.read_text())
    manifest.write_text(re.sub(r'(?m)^name = "street"$', f'name = "{name}"', text))
    return bundle, sha256
