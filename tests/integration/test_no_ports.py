"""A default installation opens no port: not to the network, and not to this device either."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from where import CHECKOUT

SHIPPED = CHECKOUT / "systemd/config.toml"
RUN = (sys.executable, "-m", "pi_detector", "run", "--quiet")
PATIENCE_S = 60.0
# A program with a child that has a socket of each kind.
OPEN = """
import os, socket, time
if os.fork() == 0:
    kept = [
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("::1", 0), family=socket.AF_INET6),
    ]
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        kept.append(socket.socket(family, socket.SOCK_DGRAM))
        kept[-1].bind((host, 0))
    print("opened", flush=True)
time.sleep(60)
"""


def family(pid: int) -> list[int]:
    """A process and all below it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return [pid, *(each for child in children for each in family(child))]


def network_sockets(pid: int) -> list[str]:
    """Sockets of TCP and UDP that a process and all below it have, as /proc/net lists them."""
    descriptors = [fd for each in family(pid) for fd in Path(f"/proc/{each}/fd").iterdir()]
    theirs = set()
    for fd in descriptors:
        try:
            theirs.add(str(fd.readlink()))
        except FileNotFoundError:  # closed since
            continue
    return [
        f"{protocol} {line}"
        for protocol in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]
        if f"socket:[{line.split()[9]}]" in theirs
    ]


@pytest.fixture
def pid(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that runs a command, once it has logged or said something that is expected."""
    command, expected = request.param
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        for line in process.stdout:
            if expected in line:
                break
            assert time.monotonic() < deadline, line
        else:
            raise AssertionError(f"ended without {expected!r}")
        yield process.pid
        for each in family(process.pid):
            subprocess.run(["kill", "-KILL", str(each)], check=False)


@pytest.mark.parametrize(
    "pid",
    [
        ((*RUN, "--source", "demo:"), "demo: live"),
        ((*RUN, "--config", SHIPPED, "--source", "demo:"), "demo: live"),
        ((*RUN, "--config", SHIPPED), "retrying in"),
    ],
    ids=["defaults", "service", "service that waits for a camera"],
    indirect=True,
)
def test_no_socket_of_tcp_or_udp_is_open(pid: int) -> None:
    for _ in range(20):
        assert network_sockets(pid) == []
        time.sleep(0.1)


@pytest.mark.parametrize("pid", [((sys.executable, "-c", OPEN), "opened")], indirect=True)
def test_the_scan_finds_what_is_open(pid: int) -> None:
    kinds = [row.split()[0] for row in network_sockets(pid)]
    assert kinds == ["tcp", "tcp6", "udp", "udp6"]
