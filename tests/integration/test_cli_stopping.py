"""Signals end a process that does not end by itself."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from pi_detector.cli.stopping import SAME_WISH_S

STUCK = """
import time
from pi_detector.cli.stopping import Signals
stop = Signals(deadline_s={deadline_s}).stop
print("ready", flush=True)
stop.wait()
print("asked", flush=True)
time.sleep(60)
"""


def stuck(deadline_s: float) -> subprocess.Popen[str]:
    program = STUCK.format(deadline_s=deadline_s)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_second_interrupt_ends_at_once() -> None:
    process = stuck(deadline_s=60)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)  # delivered twice, as timeout(1) does: still one wish
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=SAME_WISH_S + 0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    process.stdout.close()


def test_deadline_ends_what_hangs() -> None:
    process = stuck(deadline_s=0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == os.EX_SOFTWARE
    assert process.stdout is not None
    process.stdout.close()


HANGUP = """
from pi_detector.cli.stopping import Signals
signals = Signals(reloads=True, deadline_s=60)
signals.on_hangup(lambda: print("reload", flush=True))
print("ready", flush=True)
signals.stop.wait()
print("stop", flush=True)
"""


def test_a_hangup_reloads() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGUP], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "reload\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "stop\n"
    assert process.wait(5) == 0
    process.stdout.close()


def test_a_terminal_that_is_closed_ends_the_process() -> None:
    reading, writing = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.execv(sys.executable, [sys.executable, "-c", HANGUP])
    os.close(writing)
    with os.fdopen(reading) as output:
        assert output.readline() == "ready\n"
        os.close(terminal)  # the kernel sends SIGHUP
        assert output.read() == "stop\n"
    assert os.waitpid(pid, 0)[1] == 0


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", HANGUP],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "stop\n"
    assert process.wait(5) == 0
    process.stdout.close()
