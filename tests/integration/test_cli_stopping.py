"""Signals end a process that does not end by itself."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S, until

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
    assert process.wait(PATIENCE_S) == 130
    process.stdout.close()


def test_deadline_ends_what_hangs() -> None:
    process = stuck(deadline_s=0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == os.EX_SOFTWARE
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
    assert process.wait(PATIENCE_S) == 0
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
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


RUN = ["run", "--source", "demo:", "--quiet", "--frames", "300"]
# Each import of a room of pi-detector brings a SIGHUP.
EVERY_IMPORT = f"""
import os, signal, sys
from pi_detector.cli.entry import main

class Hangups:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("pi_detector."):
            os.kill(os.getpid(), signal.SIGHUP)

sys.meta_path.insert(0, Hangups())
sys.argv = ["pi-detector", *{RUN!r}]
sys.exit(main())
"""


def test_hangups_during_the_imports_wait_and_reload() -> None:
    process = subprocess.run(
        [sys.executable, "-c", EVERY_IMPORT],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        start_new_session=True,
        timeout=PATIENCE_S,
    )
    assert process.returncode == 0, process.stderr
    assert "settings reloaded" in process.stderr


def takes_hangups(pid: int) -> bool:
    """Whether SIGHUP is blocked or caught in a process, and does not end it."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    bit = 1 << (signal.SIGHUP - 1)
    return any(int(masks[name], 16) & bit for name in ("SigBlk", "SigCgt"))


def test_a_storm_of_early_hangups_ends_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "pi_detector", *RUN], stderr=err, start_new_session=True
        )
    until(lambda: takes_hangups(process.pid) or process.poll() is not None)

    def sent_until_it_reloaded() -> bool:
        process.send_signal(signal.SIGHUP)
        return process.poll() is not None or "settings reloaded" in log.read_text()

    until(sent_until_it_reloaded, log.read_text, interval_s=0.001)
    assert process.wait(PATIENCE_S) == 0, log.read_text()


def test_other_commands_end_by_a_hangup_as_usual(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "pi_detector", "models", "verify", str(pipe)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: takes_hangups(process.pid))
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE_S) == -signal.SIGHUP
