"""``pi-detector tune``, small and for real."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pi_detector.bench import machine
from pi_detector.bench.machine import Moment
from pi_detector.bench.measure import Subject
from pi_detector.cli.main import main
from pi_detector.config.text import commented_example
from pi_detector.pipeline.looks import LookBudget

TINY = ("--rounds", "1", "--frames", "2")


def tune(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pi_detector", "tune", *TINY, *arguments],
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def test_it_tells_and_writes_when_asked(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(commented_example())
    told = tune("--config", str(config))
    assert told.returncode == 0, told.stderr
    assert "for throughput: model.threads = " in told.stdout
    assert "nothing was written" in told.stdout
    assert config.read_text() == commented_example()

    done = tune(
        "--config", str(config), "--write", "--for", "efficiency", "--fps", "100000",
        PI_DETECTOR__MODEL__THREADS="7",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    threads = tomllib.loads(config.read_text())["model"]["threads"]
    assert 1 <= threads <= len(os.sched_getaffinity(0))
    assert f"model.threads = {threads}" in done.stdout
    assert len(config.read_text().splitlines()) == len(commented_example().splitlines())
    assert "no case reaches 100000 frames/s" in done.stderr
    assert (
        "model.threads: the environment variable PI_DETECTOR__MODEL__THREADS overrides the file "
        "with 7" in done.stderr
    )


@pytest.mark.parametrize(("fps", "expected"), [("0.01", 8), ("100000", 1)])
def test_looks_are_as_many_as_reach_the_rate(tmp_path: Path, fps: str, expected: int) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[detection]\nlooks = "auto"  # comment\nmax_detections = 20\n')
    done = tune("--config", str(config), "--write", "--fps", fps)
    assert done.returncode == 0, done.stderr
    assert f"detection.looks = {expected}" in done.stdout
    settings = tomllib.loads(config.read_text())
    assert settings["detection"] == {"looks": expected, "max_detections": 20}
    assert settings["model"]["threads"] >= 1
    assert main(["config", "check", str(config)]) == 0


def test_looks_that_are_too_slow_for_the_rate_as_the_pipeline_runs_are_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seen: list[int] = []

    def pipeline(subject: Subject, frames: int, rest_s: float) -> dict[str, float]:
        figures = measured(subject, frames, rest_s)
        if looks := subject._settings.detection.looks:
            seen.append(looks)
            figures["pipeline_fps"] = 12.0 / looks
        return figures

    measured = Subject.pipeline
    monkeypatch.setattr(Subject, "pipeline", pipeline)
    monkeypatch.setattr(LookBudget, "looks", property(lambda _: 5))
    config = tmp_path / "config.toml"
    config.write_text("[detection]\nlooks = 2\n")
    assert main(["tune", *TINY, "--config", str(config), "--fps", "4", "--anyway"]) == 0
    assert seen == [5, 4, 3]
    assert "detection.looks = 3" in capsys.readouterr().out


def test_a_file_to_write_to_is_asked_for_before_measuring(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PI_DETECTOR_CONFIG": ""}
    done = tune("--write", **environ)
    assert done.returncode == os.EX_CONFIG
    assert "pi-detector config init" in done.stderr
    assert "warming up" not in done.stderr


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (Moment(600, 60, 0, ["throttled"]), "throttled"),
        (Moment(1500, 83, 0, []), "the processor is at 83 °C"),
    ],
)
def test_a_throttled_machine_is_not_measured(
    moment: Moment, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "observe", lambda: moment)
    assert main(["tune"]) == os.EX_TEMPFAIL
    error = capsys.readouterr().err
    assert said in error
    assert "--anyway" in error
