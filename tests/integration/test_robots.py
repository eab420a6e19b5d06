"""What docs/robots.md tells, done: its examples, the bridge, a reload, a second daemon."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import valid
from where import CHECKOUT

from pi_detector.core.vision_msgs import json_schema

DOCS = CHECKOUT / "docs"
SOCKET = "/run/pi-detector/records.sock"
PATIENCE_S = 60.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sock"


@pytest.fixture
def config(tmp_path: Path, path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(f'[output]\nstdout = "none"\nsocket = "{path}"\n')
    return file


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program; of its output the lines can be read."""
    started: list[subprocess.Popen[str]] = []

    def begin(*command: object) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def daemon(start: Start, config: Path, path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Starts pi-detector, which then listens."""

    def begin() -> subprocess.Popen[str]:
        command = (sys.executable, "-m", "pi_detector", "run", "--source", "demo:")
        process = start(*command, "--config", config)
        connect(path).close()
        return process

    return begin


def connect(path: Path) -> socket.socket:
    """A connection, as soon as somebody listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            assert time.monotonic() < deadline, f"nobody listens at {path}"
            time.sleep(0.05)
        else:
            return connection


def example(language: str) -> str:
    """The first block of code in a language that has the socket in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (DOCS / "robots.md").read_text(), re.DOTALL)
    return next(block for block in blocks if SOCKET in block)


def test_the_example_in_python(daemon: Callable[[], object], start: Start, path: Path) -> None:
    daemon()
    program = start(sys.executable, "-c", example("python").replace(SOCKET, str(path)))
    assert program.stdout is not None
    for _ in range(3):
        assert -1 <= float(program.stdout.readline()) <= 1


@pytest.mark.skipif(not shutil.which("socat"), reason="socat is not installed")
def test_the_example_in_shell(daemon: Callable[[], object], start: Start, path: Path) -> None:
    daemon()
    program = start("sh", "-c", "exec " + example("sh").replace(SOCKET, str(path)))
    assert program.stdout is not None
    for _ in range(3):
        valid.record(program.stdout.readline())


@pytest.fixture
def bridge() -> ModuleType:
    """The module of the node, which imports ROS only where it runs."""
    spec = importlib.util.spec_from_file_location("ros2_bridge", DOCS / "ros2_bridge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bridge_reads_on_after_a_restart(
    daemon: Callable[[], subprocess.Popen[str]], config: Path, path: Path, bridge: ModuleType
) -> None:
    with config.open("a") as file:
        file.write('socket_format = "vision_msgs"\n')
    validator = jsonschema.Draft202012Validator(json_schema())
    deadline = time.monotonic() + PATIENCE_S
    messages = bridge.messages(str(path), lambda: time.monotonic() < deadline)
    first = daemon()
    for _ in range(3):
        validator.validate(next(messages))
    first.kill()
    first.wait()
    killed_s = time.time()
    daemon()
    for message in messages:  # what was on the way, then those of the second
        validator.validate(message)
        if message["header"]["stamp"]["sec"] > killed_s:
            return
    pytest.fail("no message of the second")


def test_a_reload_keeps_the_connection_unless_the_socket_changes(
    daemon: Callable[[], subprocess.Popen[str]], config: Path, path: Path
) -> None:
    process = daemon()
    with closing(connect(path)) as connection, connection.makefile() as lines:
        valid.record(lines.readline())
        text = config.read_text()
        config.write_text(f"{text}[detection]\nmin_score = 0.9\n[telemetry]\ninterval_s = 0.1\n")
        process.send_signal(signal.SIGHUP)
        kinds = (valid.record(line)["type"] for line in lines)
        assert "performance" in kinds, "the reload is in force"
        config.write_text(f'{text}socket_format = "vision_msgs"\n')
        process.send_signal(signal.SIGHUP)
        for line in lines:
            valid.record(line)
    with closing(connect(path)) as connection, connection.makefile() as lines:
        assert json.loads(lines.readline()).keys() == {"header", "detections"}
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert not path.exists()


def test_a_second_daemon_at_the_same_socket_is_an_error_that_names_the_first(
    daemon: Callable[[], subprocess.Popen[str]], config: Path, path: Path
) -> None:
    first = daemon()
    command = [sys.executable, "-m", "pi_detector", "run", "--source", "demo:", "--config", config]
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert second.returncode == 74
    assert f"error: {path}: process {first.pid} uses this socket; stop it" in second.stderr
    with closing(connect(path)) as connection, connection.makefile() as lines:
        valid.record(lines.readline())
