"""Runs what may crash in processes that may die, many inputs a process."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_BATCH = 50
_HANG_S = 20.0


@dataclass
class Outcome:
    """What happened.

    Attributes:
        runs: inputs that were tried.
        deaths: seed of an input to how the process died on it.
    """

    runs: int = 0
    deaths: dict[int, str] = field(default_factory=dict)


def run_in_victims(
    work: Callable[[int], None], seconds: float, first: int = 0, most: int | None = None
) -> Outcome:
    """Call ``work`` with one seed after the other, in forked processes, until the time is over.

    Args:
        work: an exception that it raises counts as a death.
        seconds: no batch begins later.
        first: seed.
        most: inputs.
    """
    outcome = Outcome()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (most is None or outcome.runs < most):
        batch = _BATCH if most is None else min(_BATCH, most - outcome.runs)
        start = first + outcome.runs
        begun, how = _run_batch(work, range(start, start + batch))
        outcome.runs += begun
        if how:
            outcome.deaths[start + begun - 1] = how
    return outcome


def _run_batch(work: Callable[[int], None], seeds: range) -> tuple[int, str]:
    """How many were begun, and how the process died of the last one; empty if it did not."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _be_victim(work, seeds, writer)
    os.close(writer)
    begun, hung = 0, False
    while not hung:
        hung = not select.select([reader], [], [], _HANG_S)[0]
        if hung:
            os.kill(pid, signal.SIGKILL)
        elif tick := os.read(reader, 1024):
            begun += len(tick)
        else:
            break
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if hung:
        return begun, f"hangs for {_HANG_S:g} s"
    code = os.waitstatus_to_exitcode(status)
    return begun, "" if code == 0 else signal.Signals(-code).name if code < 0 else "exception"


def _be_victim(work: Callable[[int], None], seeds: range, writer: int) -> None:
    """Never returns."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    code = 0
    for seed in seeds:
        os.write(writer, b".")
        try:
            work(seed)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            code = 1
            break
    os._exit(code)
