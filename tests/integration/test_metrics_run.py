"""The metrics of a real run: its camera fails, its output fails, its settings are read again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from prometheus_client.parser import text_string_to_metric_families
from test_sources_stream import Camera

PATIENCE_S = 60.0


class Run:
    """A process ``pi-detector run`` that writes its metrics to a file."""

    def __init__(self, folder: Path, **settings: dict[str, Any]) -> None:
        self.config, self.file, self.log = folder / "c.toml", folder / "m.prom", folder / "log"
        self.write(**settings)
        command = [sys.executable, "-m", "pi_detector", "run", "--config", self.config]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)

    def write(self, **settings: dict[str, Any]) -> None:
        common = {
            "telemetry": {"interval_s": 1},
            "metrics": {"textfile": str(self.file), "interval_s": 1},
            "recovery": {"first_delay_s": 0.1, "longest_delay_s": 0.2},
        }
        self.config.write_text(tomli_w.dumps({**common, **settings}))

    def reload(self, **settings: dict[str, Any]) -> None:
        told = self.log.read_text().count("settings reloaded")
        self.write(**settings)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.log.read_text().count("settings reloaded") > told)

    def value(self, name: str, **labels: str) -> float | None:
        """What the file says; None where it says nothing."""
        if not self.file.exists():
            return None
        for family in text_string_to_metric_families(self.file.read_text()):
            for sample in family.samples:
                if sample.name == f"pi_detector_{name}" and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.file.read_text() + self.log.read_text()
            time.sleep(0.05)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def begin(**settings: dict[str, Any]) -> Run:
        runs.append(Run(tmp_path, **settings))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_a_camera_that_ends_comes_back_and_is_gone(start: Start) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.daemon_threads = True
        server.stop = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://operator:hunter2@127.0.0.1:{server.server_address[1]}/ends"
        run = start(source={"uri": uri, "read_timeout_s": 2})
        run.wait_for(lambda: (run.value("source_reopenings_total") or 0) >= 2)
        before = run.value("frames_captured_total")
        run.reload(source={"uri": uri, "read_timeout_s": 2}, output={"empty_frames": False})
        run.wait_for(lambda: (run.value("frames_captured_total") or 0) > (before or 0))
        assert (run.value("source_reopenings_total") or 0) >= 2
        server.stop.set()  # type: ignore[attr-defined]
        server.shutdown()
    run.wait_for(lambda: run.value("source_up") == 0)
    assert "hunter2" not in run.file.read_text()
    assert run.end() == 0
    assert not run.file.exists()


def test_an_output_that_fails_and_is_replaced(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    source = {"uri": "demo:"}
    output = {"snapshots": str(folder), "snapshot_interval_s": 0}
    run = start(source=source, output=output)
    run.wait_for(lambda: folder.is_dir() and any(folder.iterdir()))
    run.wait_for(lambda: run.value("output_up", output="snapshots") == 1)
    folder.rename(tmp_path / "aside")
    folder.write_text("no folder")
    run.wait_for(lambda: run.value("output_up", output="snapshots") == 0)
    assert run.value("output_up", output="stdout") == 1
    run.reload(source=source, output={})
    run.wait_for(lambda: run.value("output_up", output="snapshots") is None)
    folder.unlink()
    run.reload(source=source, output=output)
    run.wait_for(lambda: run.value("output_up", output="snapshots") == 1)
    lost = run.value("output_dropped_total", output="snapshots", reason="failed")
    assert lost is not None
    assert lost > 0
    assert run.end() == 0
    shutil.rmtree(tmp_path / "aside")


def test_a_file_that_cannot_be_written_is_told_at_the_start(start: Start, tmp_path: Path) -> None:
    run = start(
        source={"uri": "demo:"}, metrics={"textfile": str(tmp_path / "missing/pi-detector.prom")}
    )
    assert run.process.wait(PATIENCE_S) == 74
    assert f"{tmp_path}/missing: cannot write: No such file or directory" in run.log.read_text()
