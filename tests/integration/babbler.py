"""Sources whose process runs given lines, in the place of a decoder that has lost its mind."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from isolated_sources import demo

from pi_detector.sources import isolated_process
from pi_detector.sources.isolated import IsolatedSource

Babbler = Callable[[str], IsolatedSource]

BABBLER = """
import os, socket, sys, time
from datetime import datetime, timezone
from pi_detector.sources.isolated_link import *
link = socket.socket(fileno=int(sys.argv[1]))
memory = int(sys.argv[2])
def say(message):
    link.send(message if isinstance(message, bytes) else encode(message))
def frame(sequence=0, shape=(4, 4, 3)):
    say(Delivered(sequence, 1, datetime.now(timezone.utc), shape, None, None))
"""


WELL_UNTIL_READ = """
say(Started()); link.recv(65536); say(Opened()); link.recv(65536)
"""


def make_babbler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Babbler:
    """Makes live sources whose process runs the given lines."""

    def make(lines: str) -> IsolatedSource:
        (folder / "babbling.py").write_text(BABBLER + textwrap.dedent(lines))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setattr(isolated_process, "_MODULE", "babbling")
        return demo(read_timeout_s=0.2)

    return make
