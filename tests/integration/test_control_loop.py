"""The governor in a real run on demo:, on a machine whose sensors a test makes."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from pi_detector.config.load import load_settings
from pi_detector.config.settings import ModelSettings, Settings
from pi_detector.core.schema import json_schema
from pi_detector.daemon.service import Service
from pi_detector.detector.bundle import load_model
from pi_detector.errors import ConfigError
from pi_detector.governor import control
from pi_detector.governor import policy as governor

PATIENCE_S = 60.0


class Machine:
    """A run whose sensors lie under a folder, and whose settings can be changed."""

    def __init__(self, folder: Path, **tree: Any) -> None:
        self.sensor = folder / "sys/class/thermal/thermal_zone0/temp"
        self.word = folder / "sys/devices/platform/soc/soc:firmware/get_throttled"
        for file in (self.sensor, self.word):
            file.parent.mkdir(parents=True)
        (self.sensor.parent / "type").write_text("cpu-thermal\n")
        self.word.write_text("0\n")
        self.heat(50)
        self.log = folder / "log"
        output = {"stdout": "none", "log": str(self.log)}
        model = {"threads": 2}
        self.tree = {"source": {"uri": "demo:", "fps": 20}, "model": model, "output": output} | tree
        self.service = Service(self.settings, {}, root=folder)
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self.service.run, args=[self.stop])
        self._thread.start()

    def settings(self) -> Settings:
        return msgspec.convert(self.tree, Settings)

    def heat(self, celsius: float) -> None:
        self.sensor.write_text(f"{celsius * 1000:.0f}\n")

    def records(self, kind: str, **fields: str) -> list[dict[str, Any]]:
        lines = b"".join(file.read_bytes() for file in sorted(self.log.glob("*.jsonl")))
        rows = [json.loads(line) for line in lines.splitlines(keepends=True) if line[-1:] == b"\n"]
        return [r for r in rows if r["type"] == kind and fields.items() <= r.items()]

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.records("status")
            time.sleep(0.1)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(PATIENCE_S)


Make = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(control, "POLL_S", 0.1)
    monkeypatch.setattr(governor, "HEAT_DWELL_S", 0.2)
    monkeypatch.setattr(governor, "FIRST_WAIT_S", 0.3)
    monkeypatch.setattr(governor, "LONGEST_WAIT_S", 0.3)
    made: list[Machine] = []

    def make(**tree: Any) -> Machine:
        made.append(Machine(tmp_path, **tree))
        return made[-1]

    yield make
    for each in made:
        each.end()


def inferred_fps(one: Machine, seconds: float) -> float:
    """Of the performance records of the next seconds."""
    seen = len(one.records("performance"))
    one.wait_for(
        lambda: sum(r["interval_s"] for r in one.records("performance")[seen + 1 :]) > seconds
    )
    rows = one.records("performance")[seen + 1 :]
    return sum(r["frames"]["inferred"] for r in rows) / sum(r["interval_s"] for r in rows)


def test_the_rate_falls_when_it_gets_hot_and_recovers_when_it_cools(machine: Make) -> None:
    one = machine(
        governor={"enabled": True, "min_fps": 2},
        telemetry={"interval_s": 0.5},
    )
    before = inferred_fps(one, 2)
    assert before > 4
    assert one.records("performance")[-1]["governor"] == {
        "rungs": 0, "rate_fps": None, "threads": 2, "small_model": False, "looks": None,
    }  # fmt: skip
    one.heat(90)
    one.wait_for(lambda: one.records("status", part="governor", state="failed"))
    assert inferred_fps(one, 4) <= 2.5
    (missed,) = one.records("status", part="governor", state="failed")
    assert "2 frames/s, threads 1; target missed" in missed["reason"]
    assert "target 75 °C" in missed["reason"]
    now = one.records("performance")[-1]["governor"]
    assert (now["rate_fps"], now["threads"]) == (2, 1)
    frames = one.records("performance")[-1]["frames"]
    assert frames["processed"] > frames["inferred"], "frames that are not inferred go on to outputs"

    one.heat(50)
    one.wait_for(lambda: one.records("status", part="governor", state="live"))
    assert inferred_fps(one, 2) > 3
    validator = jsonschema.Draft202012Validator(json_schema())
    for record in (*one.records("performance"), *one.records("status")):
        validator.validate(record)


def looks_of_a_frame(one: Machine) -> float:
    """How many looks the frames of the latest performance records had, at most on average."""
    rows = [r for r in one.records("performance")[-2:] if r["frames"]["inferred"]]
    return max(sum(r["looks"].values()) / r["frames"]["inferred"] for r in rows)


def test_looks_are_given_up_before_anything_else_and_come_back(machine: Make) -> None:
    one = machine(
        source={"uri": "demo:", "fps": 10, "width": 1280, "height": 720},
        detection={"looks": 3},
        governor={"enabled": True, "min_fps": 2},
        telemetry={"interval_s": 1.0},
    )
    one.wait_for(lambda: len(one.records("performance")) > 2)
    assert looks_of_a_frame(one) > 1
    one.heat(90)
    one.wait_for(lambda: one.records("status", part="governor", state="failed"))
    reasons = [r["reason"] for r in one.records("status", part="governor")]
    # How many rungs at once depends on how fast it gets hot.
    assert all(", looks " in reason for reason in reasons)
    assert "threads 2" in reasons[0]
    assert "looks 1, threads 1" in reasons[-1]
    seen = len(one.records("performance"))
    one.wait_for(lambda: len(one.records("performance")) > seen + 3)
    # Counts of a second may hold a frame more on one side.
    assert looks_of_a_frame(one) < 1.6
    assert one.records("performance")[-1]["governor"]["looks"] == 1
    one.heat(50)
    one.wait_for(lambda: one.records("status", part="governor", state="live"))
    one.wait_for(lambda: looks_of_a_frame(one) > 1.6)
    assert one.records("performance")[-1]["governor"]["looks"] is None


def test_the_firmware_is_heard_and_a_missing_sensor_is_told_once(
    machine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one = machine(governor={"enabled": True})
    one.sensor.unlink()
    one.wait_for(lambda: "the temperature target is ignored" in caplog.text)
    one.word.write_text("1\n")
    time.sleep(1)
    assert not one.records("status", part="governor"), "too low a voltage is no heat"
    one.word.write_text("3\n")
    one.wait_for(lambda: one.records("status", part="governor", state="limited"))
    assert "clock capped" in one.records("status", part="governor")[0]["reason"]
    one.word.write_text("0\n")
    one.wait_for(lambda: one.records("status", part="governor", state="live"))
    assert caplog.text.count("the temperature target is ignored") == 1


def test_a_reload_switches_it_on_and_off(machine: Make) -> None:
    one = machine()
    one.heat(90)
    one.wait_for(lambda: one.records("status", part="model"))
    time.sleep(1)
    assert not one.records("status", part="governor")
    one.tree["governor"] = {"enabled": True}
    one.service.reload()
    one.wait_for(lambda: one.records("status", part="governor", state="failed"))
    one.tree["governor"] = {"enabled": False}
    one.service.reload()
    one.wait_for(lambda: one.records("status", part="governor", state="live"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A copy of the smaller model, that can be spoilt."""
    bundle = tmp_path / "small"
    shutil.copytree(load_model(ModelSettings(path="street-small")).path, bundle)
    return bundle


@pytest.mark.parametrize("motion", [False, True])
def test_the_smaller_model_runs_and_the_other_one_returns(
    machine: Make, small: Path, motion: bool
) -> None:
    governor = {"enabled": True, "min_fps": 10, "model": str(small)}
    one = machine(governor=governor, motion={"enabled": motion})
    one.wait_for(lambda: one.records("status", part="model", name="street"))
    one.heat(90)
    one.wait_for(lambda: one.records("status", part="model", name="street-small"))
    one.heat(50)
    one.wait_for(lambda: len(one.records("status", part="model", name="street")) == 2)
    one.heat(90)
    shutil.rmtree(small)
    one.wait_for(lambda: one.records("status", part="governor", name="model", state="failed"))
    assert str(small) in one.records("status", name="model")[-1]["reason"]
    one.heat(50)
    one.wait_for(lambda: one.records("status", part="governor", name="model", state="live"))


def test_a_reload_ends_what_is_told_of_a_smaller_model(machine: Make, small: Path) -> None:
    governor = {"enabled": True, "min_fps": 10, "model": str(small)}
    one = machine(governor=governor)
    one.wait_for(lambda: one.records("status", part="model", name="street"))
    shutil.rmtree(small)
    one.heat(90)
    one.wait_for(lambda: one.records("status", part="governor", name="model", state="failed"))
    one.tree["governor"] = {"enabled": False}
    one.service.reload()
    one.wait_for(lambda: one.records("status", part="governor", name="model", state="live"))


def test_a_model_with_other_labels_is_refused(small: Path) -> None:
    for file in (small / "manifest.toml", small / "labels.txt"):
        file.write_text(file.read_text().replace("bicycle", "tandem"))
    tree = {"source": {"uri": "demo:"}, "governor": {"enabled": True, "model": str(small)}}
    told = "governor.model: street-small has other labels than street"
    with pytest.raises(ConfigError, match=told):
        Service(lambda: msgspec.convert(tree, Settings), {})


def test_a_governor_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"governor\.enabled: no target is set"):
        load_settings(None, {}, ["governor.enabled=true", "governor.temperature_celsius=0"])
