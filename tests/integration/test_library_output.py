"""What C libraries print goes to the log; what Python and a crash print stays on stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import pi_detector

PRINTS = """
import ctypes, logging, os, sys, threading
from pi_detector.cli.library_output import capture_stderr_of_libraries
logging.basicConfig(level=logging.DEBUG, format="ours: %(message)s")
capture_stderr_of_libraries()
libc = ctypes.CDLL(None)
stderr = ctypes.c_void_p.in_dll(libc, "stderr")
seen = threading.Event()
class Afterwards(logging.Handler):
    def emit(self, record):
        seen.set()
logging.getLogger().addHandler(Afterwards())
libc.fprintf(stderr, b"open rtsp://me:hunter2@cam/live\\n")
assert seen.wait(20)
print("Python's own", file=sys.stderr)
os.write(2, b"the descriptor's\\n")
"""


def printed() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr.splitlines()


def test_lines_of_libraries() -> None:
    assert printed() == [
        "ours: library: open rtsp://cam/live",
        "Python's own",
        "the descriptor's",
    ]


@pytest.mark.parametrize("option", [(), ("-v",)])
def test_no_raw_line_stands_between_ours(tmp_path: Path, option: tuple[str, ...]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 128, np.uint8))
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    done = pi_detector("detect", str(tmp_path), "--format", "jsonl", *option)
    assert done.returncode == 65
    ours = ("pi-detector: ", "Traceback", "  ", "pi_detector.")
    assert [line for line in done.stderr.splitlines() if not line.startswith(ours)] == []
