"""What all tests share."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import valid

from pi_detector.core import records

CHECKOUT = Path(__file__).resolve().parent.parent

# Daemons of the tests inherit what nohup and the like made of it, and would not reload.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of extra material (data sets, videos, reference models); skips without it."""
    folder = Path(os.environ.get("PI_DETECTOR_SHARED") or CHECKOUT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no extra material in {folder}: set PI_DETECTOR_SHARED to its folder")
    return folder


@pytest.fixture(autouse=True)
def _umask_of_a_shell() -> Iterator[None]:
    """A command that ran in the test's own process made it stricter."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _no_log_of_the_command_line_stays() -> Iterator[None]:
    """A command that ran in the test's own process leaves its log handler, at a closed stream."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if type(handler).__module__.startswith("pi_detector."):
            root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _records_are_valid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each record that is encoded in the test's own process fits the published schema."""
    faults: list[str] = []
    encoder = records._encoder

    def encode(record: records.Record) -> bytes:
        line = encoder.encode(record)
        if (fault := valid.fault(line)) is not None:
            faults.append(fault)
        return line

    monkeypatch.setattr(records, "_encoder", SimpleNamespace(encode=encode))
    yield
    assert not faults
