"""A source in a process of its own: what is left, what dies with whom, and who can see what."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from isolated_sources import (
    PASSWORD,
    children,
    demo,
    is_running,
    isolated_source,
    opened,
    pid_of,
    read_on,
)

from pi_detector.errors import SourceLostError


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def own() -> Iterator[None]:
    """Nothing that a test starts is left when it ends."""
    with opened(demo()):  # starts the thread that starts processes, which stays
        pass
    gc.collect()
    before = footprint()
    yield
    gc.collect()
    after = footprint()
    # Processes and threads of an earlier test may have ended meanwhile.
    assert set(after.pop("children")) <= set(before.pop("children"))  # type: ignore[call-overload]
    assert all(after[name] <= before[name] for name in before), (before, after)  # type: ignore[operator]


def footprint() -> dict[str, object]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()).split(":")[0])
    return {
        "fds": len(links),
        "memfds": sum("memfd:pi-detector" in link for link in links),
        "threads": threading.active_count(),
        "children": children(),
        "maps": Path("/proc/self/maps").read_text().count("memfd:pi-detector"),
    }


@pytest.mark.slow
def test_fifty_reopenings_leave_nothing(own: None) -> None:
    source = demo()
    for number in range(50):
        source.open()
        assert source.read() is not None
        if number % 5 == 1:
            os.kill(pid_of(source), signal.SIGSEGV)
            with pytest.raises(SourceLostError):
                read_on(source)
        if number % 5 == 2:
            os.kill(pid_of(source), signal.SIGSTOP)
            source._process._process.kill()  # type: ignore[union-attr]
        if number % 5 != 3:
            source.close()
    source.close()


PARENT = """
import sys, time
from pi_detector.config.settings import SourceSettings
from pi_detector.sources.registry import make_source
source = make_source(SourceSettings(uri=sys.stdin.readline().strip(), isolation="on"))
source.open()
source.read()
print(source._process.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent() -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int]]]:
    """Starts a program that opens a source, and tells the process ids of both."""
    started = []

    def start(uri: str) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        print(uri, file=process.stdin, flush=True)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stopped", [False, True])
def test_the_process_dies_with_its_parent(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]], stopped: bool
) -> None:
    process, child = parent("demo:")
    if stopped:
        os.kill(child, signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(child) or "State:\tZ" in status(child))


def status(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def test_the_process_outlives_the_thread_that_opened_it() -> None:
    source = demo()
    thread = threading.Thread(target=source.open)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert source.read() is not None
    source.close()


class Private(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(head % len(jpeg) + jpeg + b"\r\n")
                time.sleep(0.02)


def test_nobody_can_read_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Private) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        uri = f"http://me:{PASSWORD}@127.0.0.1:{httpd.server_address[1]}/"
        monkeypatch.setenv("PI_DETECTOR__SOURCE__URI", uri)
        with opened(isolated_source(uri)) as source:
            assert source.read() is not None
            process = Path(f"/proc/{pid_of(source)}")
            for name in ("cmdline", "environ", "comm", "status"):
                assert PASSWORD.encode() not in (process / name).read_bytes()
        httpd.shutdown()


def test_the_process_neither_prints_nor_keeps_what_is_the_parents(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]],
) -> None:
    process, child = parent("demo:")
    descriptors = Path(f"/proc/{child}/fd")
    assert (descriptors / "1").readlink() == (descriptors / "2").readlink()
    stdout = Path(f"/proc/{process.pid}/fd/1").readlink()
    assert stdout not in {fd.readlink() for fd in descriptors.iterdir()}
    assert (descriptors / "0").readlink() == Path("/dev/null")
    score = int(Path(f"/proc/{child}/oom_score_adj").read_text())
    assert score > int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())
    assert "Max core file size        0 " in Path(f"/proc/{child}/limits").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_the_parents_business(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]], number: signal.Signals
) -> None:
    process, child = parent("demo:")
    os.kill(child, number)
    time.sleep(0.2)
    assert "State:\tZ" not in status(child)
    assert status(child)
    process.communicate("\n", timeout=10)
    assert process.returncode == 0
