"""Connections that are idle, slow, half-sent or not read, and far too many of them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from page_client import TOKEN, Web, connect, free_port, is_open, wait_for

from pi_detector.sinks.web import connections
from pi_detector.sinks.web.server import connections_for

IDLE = b""
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
HALF_A_BODY = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ntoken="
OPENED = HALF_A_HEAD + b"\r\n"
LIVE = b"GET /api/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
REFUSED_BODY = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"


@pytest.fixture
def lines() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def hold(
    lines: ExitStack, web: Web, sent: bytes, number: int = 1, address: str = "127.0.0.1"
) -> list[socket.socket]:
    return [lines.enter_context(closing(connect(web.port, sent, address))) for _ in range(number)]


@pytest.mark.parametrize("sent", [IDLE, HALF_A_HEAD, HALF_A_BODY, OPENED, REFUSED_BODY])
def test_hundreds_of_held_connections_keep_nobody_out(
    guarded: Web, lines: ExitStack, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    guarded.camera.frame()
    most = connections_for(guarded.web).most
    with (
        caplog.at_level(logging.WARNING),
        guarded.stream("/view.mjpeg", Authorization=f"Bearer {TOKEN}") as viewer,
    ):
        held = hold(lines, guarded, sent, 300)
        for _ in range(5):
            assert guarded.ask("/healthz").status == 200
            assert guarded.ask("/api/overview", Authorization=f"Bearer {TOKEN}").status == 200
        wait_for(lambda: sum(map(is_open, held)) <= most)
        guarded.camera.frame()
        assert viewer.read(1000)
    assert len(caplog.records) <= 2, caplog.text


def test_many_addresses_together_are_bounded_too(guarded: Web, lines: ExitStack) -> None:
    held = [
        line for n in range(1, 41) for line in hold(lines, guarded, HALF_A_HEAD, 10, f"127.0.1.{n}")
    ]

    assert guarded.ask("/healthz").status == 200
    wait_for(lambda: sum(map(is_open, held)) <= connections_for(guarded.web).most)


def test_one_address_leaves_half_to_others(guarded: Web, lines: ExitStack) -> None:
    most = connections_for(guarded.web).most
    held = hold(lines, guarded, LIVE, most, "127.0.0.2")  # none of which waits
    wait_for(lambda: sum(map(is_open, held)) == most // 2)

    other = hold(lines, guarded, LIVE, 1, "127.0.0.3")
    assert guarded.ask("/healthz").status == 200
    assert is_open(other[0])
    assert sum(map(is_open, held)) == most // 2


def test_a_trusted_proxy_stands_for_many(make: Callable[..., Web], lines: ExitStack) -> None:
    web = make(token=TOKEN, trusted_proxies=("127.0.0.2",))
    most = connections_for(web.web).most
    held = hold(lines, web, LIVE, most, "127.0.0.2")
    for line in held:
        assert line.recv(1)

    assert all(map(is_open, held))


@pytest.mark.parametrize("sent", [IDLE, HALF_A_HEAD, HALF_A_BODY, REFUSED_BODY, OPENED, b"\0"])
def test_a_request_has_a_deadline(
    guarded: Web, lines: ExitStack, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    (line,) = hold(lines, guarded, sent)

    wait_for(lambda: not is_open(line))


def test_a_request_that_comes_byte_by_byte_has_the_same_deadline(
    guarded: Web, lines: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 1.0)
    slow = [*hold(lines, guarded, OPENED + HALF_A_HEAD), *hold(lines, guarded, HALF_A_BODY)]

    def drip() -> bool:
        for line in [line for line in slow if is_open(line)]:
            line.send(b"x")
        return not any(map(is_open, slow))

    wait_for(drip)


def test_a_connection_that_asks_again_and_again_has_no_deadline(
    guarded: Web, lines: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 3.0)
    (line,) = hold(lines, guarded, IDLE)
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"ok\n"):
            part = line.recv(65536)
            assert part
            received += part


def test_a_reader_that_takes_nothing_is_sent_away(
    make: Callable[..., Web], tmp_path: Path, lines: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 2.0)
    events = tmp_path / "recordings" / "2026-11-24" / "x"
    events.mkdir(parents=True)
    web = make(recordings=tmp_path / "recordings")
    monkeypatch.setattr("pi_detector.sinks.web.app.is_media_path", lambda _: True)
    (events / "clip.mp4").write_bytes(bytes(64 << 20))
    asked = b"GET /media/2026-11-24/x/clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    (line,) = hold(lines, web, asked)
    assert line.recv(12) == b"HTTP/1.1 200"

    wait_for(lambda: "clip.mp4" in opened())
    wait_for(lambda: "clip.mp4" not in opened())


def opened() -> set[str]:
    """Names of the files that this process, and with it the server, has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(descriptor.readlink().name)
    return found


# Serves "ok" with descriptors for little else, takes all that are left, and gives them back.
CROWDED = """
import logging, os, resource, sys
from starlette.responses import PlainTextResponse
from pi_detector.config.outputs import WebSettings
from pi_detector.sinks.web.bell import Bell
from pi_detector.sinks.web.server import Server

logging.basicConfig()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
server = Server(PlainTextResponse("ok"), WebSettings(port=int(sys.argv[1])), Bell())
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    print("full", flush=True)
sys.stdin.readline()
for descriptor in taken:
    os.close(descriptor)
sys.stdin.readline()
"""


def test_a_process_without_descriptors_waits_for_some_and_says_so_once(
    lines: ExitStack, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", CROWDED, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "full\n"
        line = lines.enter_context(closing(connect(port, OPENED)))
        wait_for(lambda: "Too many open files" in log.read_text())
        before_s = cpu_s(process.pid)
        began_s = time.monotonic()
        wait_for(lambda: time.monotonic() - began_s > 3)  # three more tries
        assert cpu_s(process.pid) - before_s < 1.0
        assert log.read_text().count("\n") == 1, log.read_text()

        process.stdin.write("\n")
        process.stdin.flush()
        assert line.recv(65536).startswith(b"HTTP/1.1 200")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
