"""Recording switched off and on by MQTT while the detector runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import tomli_w
from fake_broker import FakeBroker
from results import environment
from waiting import until

PREFIX = "pi-detector/porch"


class Porch:
    """A detector on the demonstration, which records, and its broker."""

    def __init__(self, folder: Path) -> None:
        self.broker = FakeBroker("5")
        self.folder = folder / "recordings"
        mqtt = {"host": "127.0.0.1", "port": self.broker.port, "name": "porch", "commands": True}
        settings = {
            "mqtt": {**mqtt, "version": "5", "queue": str(folder / "queue")},
            "recording": {"enabled": True, "path": str(self.folder)},
            "detection": {"labels": ["person"]},
            "output": {"stdout": "none"},
        }
        file = folder / "config.toml"
        file.write_text(tomli_w.dumps(settings))
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pi_detector", "run", "--config", file, "--source", "demo:"],
                stderr=log,
                env={**environment(), "HOME": str(folder)},
            )

    def events(self) -> set[str]:
        """Ids of the events that began so far."""
        told = [p for t, p, _ in list(self.broker.published) if t == f"{PREFIX}/events"]
        return {json.loads(payload)["id"] for payload in told}

    def recorded(self) -> set[str]:
        return {file.stem for file in self.folder.rglob("*.json")}

    def says(self, name: str) -> object:
        controls = self.broker.last(f"{PREFIX}/controls")
        return controls and json.loads(controls)[name]

    def command(self, name: str, payload: bytes) -> None:
        self.broker.send(f"{PREFIX}/command/{name}".encode(), payload)

    def visitors_come_again(self) -> None:
        before = self.events()
        self.command("detection", b"OFF")
        until(lambda: b"paused" in (self.broker.last(f"{PREFIX}/status/detection") or b""))
        self.command("detection", b"ON")
        until(lambda: self.events() - before)


def test_recording_is_switched_off_and_on(tmp_path: Path) -> None:
    porch = Porch(tmp_path)
    try:
        until(lambda: porch.says("recording") is True)
        discovery = porch.broker.last("homeassistant/device/pi-detector-porch/config")
        assert json.loads(discovery or b"")["components"]["recording"]["platform"] == "switch"
        until(lambda: porch.events() and porch.recorded() == porch.events())

        porch.command("recording", b"OFF")
        until(lambda: porch.says("recording") is False)
        before = porch.recorded()
        porch.visitors_come_again()
        porch.visitors_come_again()
        assert porch.recorded() == before

        porch.command("recording", b"ON")
        until(lambda: porch.says("recording") is True)
        porch.visitors_come_again()
        until(lambda: porch.recorded() - before)
    finally:
        porch.process.terminate()
        porch.process.wait(30)
        porch.broker.close()
    assert porch.process.returncode == 0, porch.log.read_text()
