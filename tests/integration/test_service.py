"""The daemon beside a service manager: a real socket, real signals, real files."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import valid

COMMAND = [sys.executable, "-m", "pi_detector", "run"]
PATIENCE_S = 60.0

try:
    from systemd import daemon
except ImportError:
    SYSTEMD_PYTHON = False
else:
    SYSTEMD_PYTHON = True
needs_systemd_python = pytest.mark.skipif(
    not SYSTEMD_PYTHON,
    reason="systemd-python is not installed: pip install '.[systemd]'",
)


class Daemon:
    """A process ``pi-detector run`` on ``demo:``, whose service manager this test is."""

    def __init__(self, folder: Path, *options: str, managed: bool = True, **settings: str) -> None:
        self.config = folder / "config.toml"
        self.config.write_text("")
        self.out, self.log = folder / "out", folder / "log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.setblocking(False)
        self.told: list[str] = []
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **settings}
        if managed:
            environ |= {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "2000000"}
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--source", "demo:", "--config", str(self.config), *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=environ,
                start_new_session=True,
            )

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"ended: {self.log.read_text()}"
            assert time.monotonic() < end, f"{self.messages()} {self.log.read_text()}"
            time.sleep(0.02)

    def messages(self) -> list[str]:
        """What the service manager was told so far, without the watchdog's food."""
        self.listen()
        return [message for message in self.told if message != "WATCHDOG=1"]

    def feedings(self) -> int:
        """How often the watchdog was fed so far."""
        self.listen()
        return self.told.count("WATCHDOG=1")

    def listen(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.told.append(self.socket.recv(4096).decode())

    def records(self, kind: str = "detections") -> list[dict[str, object]]:
        lines = self.out.read_bytes().splitlines(keepends=True)
        rows = [valid.record(line) for line in lines if line.endswith(b"\n")]
        return [row for row in rows if row["type"] == kind]

    def detections_go_on(self) -> None:
        before = len(self.records())
        self.wait_for(lambda: len(self.records()) > before + 2)

    def reload(self, settings: str) -> None:
        self.config.write_text(settings)
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(*options: str, **settings: object) -> Daemon:
        started.append(Daemon(tmp_path, *options, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.socket.close()


Start = Callable[..., Daemon]


@needs_systemd_python
def test_life_under_a_service_manager(daemon: Start) -> None:
    one = daemon()
    one.wait_for(lambda: "READY=1" in one.messages())
    assert one.records(), "ready means that a frame was processed"
    one.wait_for(lambda: one.feedings() > 3)
    one.wait_for(lambda: any("frames/s" in message for message in one.messages()))
    (status,) = [message for message in one.messages() if message.startswith("STATUS=")][:1]
    assert re.match(r"STATUS=demo live, \d+\.\d frames/s, ", status)
    assert one.end() == 0
    assert one.messages()[-1] == "STOPPING=1"


@needs_systemd_python
def test_a_reload_is_announced_and_over(daemon: Start) -> None:
    one = daemon()
    one.wait_for(lambda: "READY=1" in one.messages())
    one.reload("[detection]\nmin_score = 0.0\n")
    one.wait_for(lambda: one.messages().count("READY=1") == 2)
    (reloading,) = [message for message in one.messages() if message.startswith("RELOADING=1")]
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)


@needs_systemd_python
def test_a_camera_that_is_not_there_yet_is_no_reason_not_to_be_ready(
    daemon: Start, tmp_path: Path
) -> None:
    one = daemon("--source", "v4l2:/dev/video987", "--set", "recovery.mode=always")
    one.wait_for(lambda: "READY=1" in one.messages())
    one.wait_for(lambda: one.feedings() > 3)
    assert one.records("status")[-1]["state"] == "reopening"
    one.wait_for(lambda: any("reopening" in m for m in one.messages() if m.startswith("STATUS=")))


@needs_systemd_python
def test_a_stopped_process_feeds_no_watchdog(daemon: Start) -> None:
    one = daemon()
    one.wait_for(lambda: "READY=1" in one.messages())
    one.process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    fed = one.feedings()
    time.sleep(2)
    assert one.feedings() == fed
    one.process.send_signal(signal.SIGCONT)
    one.detections_go_on()


def test_thresholds_model_outputs_and_log_level_change_at_a_reload(
    daemon: Start, tmp_path: Path
) -> None:
    one = daemon(managed=False)
    one.wait_for(one.records)
    assert any(record["detections"] for record in one.records())
    snapshots = tmp_path / "snapshots"
    output = f"[output]\nsnapshots = '{snapshots}'\n"
    one.reload(f"{output}[detection]\nmin_score = 1.0\n[log]\nlevel = 'debug'\n")
    one.wait_for(lambda: "settings reloaded" in one.log.read_text())
    before = len(one.records())
    one.wait_for(lambda: len(one.records()) > before + 5)
    assert not any(record["detections"] for record in one.records()[before + 2 :])
    one.reload(output)
    one.wait_for(lambda: list(snapshots.glob("*.jpg")))
    numbers = [record["sequence"] for record in one.records()]
    assert numbers == sorted(set(numbers)), "no frame twice, none out of order"
    assert one.end() == 0


def test_what_needs_a_restart_is_said(daemon: Start) -> None:
    one = daemon(managed=False)
    one.wait_for(one.records)
    one.reload("[source]\nfps = 3\nwidth = 320\n[recovery]\nfirst_delay_s = 9\n")
    text = "at the next restart: source.width, source.fps, recovery.first_delay_s"
    one.wait_for(lambda: text in one.log.read_text())
    one.wait_for(lambda: reloads(one)[-1:] == [("limited", text)])
    one.detections_go_on()
    one.reload("")
    one.wait_for(lambda: reloads(one)[-1:] == [("live", None)])


def reloads(one: Daemon) -> list[tuple[object, object]]:
    """State and reason of each reload."""
    told = one.records("status")
    return [(row["state"], row.get("reason")) for row in told if row["part"] == "settings"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("[detection]\nmin_scorre = 0.5\n", "did you mean `min_score`"),
        ("[detection\n", "not valid TOML"),
        ("[detection]\nlabels = ['persn']\n", "did you mean 'person'"),
        ("[model]\npath = '/nowhere'\n", "no such model"),
        ("[output]\nsnapshots = '/proc/snapshots'\n", "cannot write"),
        ("[output]\nlog = '$NO_SUCH_VARIABLE/log'\n", "no such environment variable"),
    ],
)
def test_settings_that_are_wrong_at_a_reload_change_nothing(
    daemon: Start, settings: str, reason: str
) -> None:
    one = daemon(managed=False)
    one.wait_for(one.records)
    one.reload(settings)
    one.wait_for(lambda: one.records("status")[-1]["state"] == "refused")
    assert reason in str(one.records("status")[-1]["reason"])
    assert reason in one.log.read_text()
    one.detections_go_on()
    one.reload("")
    one.wait_for(lambda: "settings reloaded" in one.log.read_text())
    assert one.end() == 0


def test_a_thousand_hangups_leave_everything_as_it_was(daemon: Start) -> None:
    one = daemon(managed=False)
    one.wait_for(one.records)
    one.reload("[detection]\nmin_score = 0.5\n")
    one.wait_for(lambda: "settings reloaded" in one.log.read_text())
    one.detections_go_on()  # an interpreter makes its threads when it is first used
    before = resources(one.process.pid)
    for _ in range(1000):
        one.process.send_signal(signal.SIGHUP)
        time.sleep(0.001)
    one.detections_go_on()
    threads, descriptors, rss_kb = (
        after - then for after, then in zip(resources(one.process.pid), before, strict=True)
    )
    assert threads <= 0
    assert descriptors <= 0
    assert rss_kb < 20_000
    assert one.end() == 0


def resources(pid: int) -> tuple[int, int, int]:
    """Threads, descriptors and resident KiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    rss = re.search(r"VmRSS:\s+(\d+)", status)
    threads = re.search(r"Threads:\s+(\d+)", status)
    assert rss
    assert threads
    return int(threads[1]), len(list(Path(f"/proc/{pid}/fd").iterdir())), int(rss[1])


def test_a_model_that_was_replaced_on_disk_is_taken_up_and_a_damaged_one_is_not(
    daemon: Start, tmp_path: Path
) -> None:
    import shutil

    from pi_detector.detector.bundle import find_bundles

    (street,) = [path for path in find_bundles() if path.name == "street"]
    bundle = tmp_path / "bundle"
    shutil.copytree(street, bundle)
    one = daemon("--model", str(bundle), managed=False)
    one.wait_for(one.records)

    manifest = (bundle / "manifest.toml").read_text()
    renamed = re.sub(r'(?m)^name = "street"', 'name = "avenue"', manifest, count=1)
    assert renamed != manifest
    (bundle / "manifest.toml").write_text(renamed)
    one.process.send_signal(signal.SIGHUP)
    # The state of detection, told after a reload, may come in between.
    one.wait_for(lambda: [each for each in one.records("status") if each["name"] == "avenue"])
    loaded = hashlib.sha256((bundle / "model.tflite").read_bytes()).hexdigest()
    assert f"model avenue loaded, SHA-256 {loaded}" in one.log.read_text()

    model = bundle / "model.tflite"
    model.write_bytes(model.read_bytes()[:-1000] + bytes(1000))
    one.process.send_signal(signal.SIGHUP)

    def refused() -> list[dict[str, object]]:
        return [each for each in one.records("status") if each["state"] == "refused"]

    one.wait_for(refused)
    assert "SHA-256" in str(refused()[-1]["reason"])
    one.detections_go_on()
    assert one.end() == 0


def test_a_consumer_that_stops_reading_loses_records_and_nothing_else(tmp_path: Path) -> None:
    snapshots = tmp_path / "snapshots"
    process = subprocess.Popen(
        [*COMMAND, "--source", "demo:", "--set", "source.fps=100", "--snapshots", str(snapshots),
         "--set", "output.snapshot_interval_s=0", "--set", "output.snapshot_width=64"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        end = time.monotonic() + PATIENCE_S
        while len(list(snapshots.glob("*.jpg"))) < 200:  # more than a pipe holds records
            assert time.monotonic() < end, "detection stood still"
            time.sleep(0.1)
        process.terminate()
        out, log = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, log
        rows = valid.records(out)
        numbers = [row["sequence"] for row in rows if row["type"] == "detections"]
        assert numbers == sorted(set(numbers))
        assert re.search(rb"\d+ not seen by stdout", log), log
    finally:
        process.kill()
        process.wait()


def test_a_secret_is_used_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret_camera").write_text("p@ss/w:rd\n")
    uri = "rtsp://admin:${secret:camera}@127.0.0.1:9/live"
    config = tmp_path / "config.toml"
    config.write_text(f"[source]\nuri = '{uri}'\n")
    environ = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [*COMMAND, "-v", "--config", str(config)],
        env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_NOINPUT, done.stderr
    assert "rtsp://127.0.0.1:9/live" in done.stderr
    assert "p@ss" not in done.stderr + done.stdout
    assert "p%40ss" not in done.stderr + done.stdout

    environ.pop("CREDENTIALS_DIRECTORY")
    environ["HOME"] = str(tmp_path)
    done = subprocess.run(
        [*COMMAND, "--config", str(config)],
        env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_CONFIG
    assert f"source.uri: ${{secret:camera}}: no such secret in {tmp_path}/.config/" in done.stderr
