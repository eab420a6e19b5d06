"""Signals end a process that does not end by itself."""

import os
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
