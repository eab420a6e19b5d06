"""Home Assistant, a broker that obeys the documented access list, and a detector."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from homeassistant import HomeAssistant
from real_broker import Broker, Program

DOCUMENT = Path(__file__).parents[3] / "docs" / "mqtt.md"
NAME = "porch"
DETECTOR, HOME_ASSISTANT = "pi-detector", "home-assistant"
PASSWORD = "correct-horse"


# The two blueprints of docs/homeassistant, as a user fills them in.
AUTOMATIONS = f"""
input_boolean:
  hall_light:
counter:
  visitors:
input_text:
  visitor:
automation:
  - alias: visitor
    use_blueprint:
      path: pi-detector/visitor.yaml
      input:
        event: event.{NAME}_event
        label: person
        zone: garden
        actions:
          - service: counter.increment
            target: {{entity_id: counter.visitors}}
          - service: input_text.set_value
            target: {{entity_id: input_text.visitor}}
            data:
              value: "{{{{ label }}}} {{{{ zones | join(',') }}}} {{{{ id != '' }}}}"
  - alias: light
    use_blueprint:
      path: pi-detector/light.yaml
      input:
        occupancy: binary_sensor.{NAME}_garden_person
        target: input_boolean.hall_light
        after: 1
"""


def documented_access_list() -> str:
    """The access list of docs/mqtt.md, which is for a detector of this name."""
    (text,) = re.findall(r"```\n(user pi-detector\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return text


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    users, rules = folder / "users", folder / "rules"
    users.touch(mode=0o600)
    for user in (DETECTOR, HOME_ASSISTANT):
        subprocess.run(["mosquitto_passwd", "-b", users, user, PASSWORD], check=True)
    rules.touch(mode=0o600)
    rules.write_text(documented_access_list())
    one = Broker(folder, f"password_file {users}", f"acl_file {rules}", "log_type all")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def home(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    root = Path(os.environ["HOMEASSISTANT_ROOT"])
    one = HomeAssistant(root, tmp_path_factory.mktemp("home-assistant"), AUTOMATIONS)
    try:
        one.start()
        one.set_up(broker.port, HOME_ASSISTANT, PASSWORD)
        yield one
    finally:
        one.kill()


class Detector:
    """`pi-detector run` on the demonstration, in which there are always persons."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.settings = folder / "settings.toml"
        self._folder = folder
        self._broker = broker
        self._program: Program | None = None

    def write(self, *zones: str, **more: object) -> None:
        values: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self._broker.port,
            "name": NAME,
            "username": DETECTOR,
            "password": PASSWORD,
            "commands": True,
            "camera_interval_s": 1,
            "queue": str(self._folder / "queue"),
            **more,
        }
        whole = "polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]"
        self.settings.touch(mode=0o600)
        self.settings.write_text(
            '[recovery]\nfirst_delay_s = 0.2\nlongest_delay_s = 0.5\n[output]\nstdout = "none"\n'
            f"[recording]\nenabled = true\npath = {json.dumps(str(self._folder / 'recordings'))}\n"
            "[telemetry]\ninterval_s = 2\n[lines.gate]\npoints = [[0, 0], [0, 1]]\n"
            + "".join(f"[zones.{zone}]\n{whole}\n" for zone in zones)
            + "[mqtt]\n"
            + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        )

    def start(self) -> Program:
        command = ["-m", "pi_detector", "--config", self.settings, "run", "--source", "demo:"]
        self._program = Program(command, {})
        return self._program

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    def log(self) -> str:
        return "".join(self.program.errors)

    def reload(self, *zones: str, **more: object) -> None:
        self.write(*zones, **more)
        before = self.log().count("settings reloaded")
        self.program.process.send_signal(signal.SIGHUP)
        self.program.waits_for(lambda: self.log().count("settings reloaded") > before)

    def stop(self) -> None:
        self.program.process.terminate()
        assert self.program.process.wait(20) == 0, self.log()


@pytest.fixture
def detector(tmp_path: Path, broker: Broker) -> Iterator[Detector]:
    one = Detector(tmp_path, broker)
    one.write("garden", "drive")
    one.start()
    yield one
    if one.program.process.poll() is None:
        one.stop()
    one.write()
    remove(one)


def remove(detector: Detector) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pi_detector", "mqtt", "remove"]
    return subprocess.run(
        [*command, "--config", detector.settings], capture_output=True, text=True, check=False
    )


@pytest.fixture
def sees(home: HomeAssistant) -> Callable[..., None]:
    """Waits until Home Assistant shows states; a state that is None is that of no entity."""

    def wait(**wanted: str | None) -> None:
        names = {f"{key.replace('__', '.', 1)}": value for key, value in wanted.items()}
        deadline = time.monotonic() + 60
        while True:
            states = home.states()
            shown = {name: states.get(name, {}).get("state") for name in names}
            if shown == names:
                return
            assert time.monotonic() < deadline, f"{shown}\n{home.log()[-3000:]}"
            time.sleep(0.2)

    return wait
