"""What the processes of a daemon take from the system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Taken:
    """What one process takes at one moment."""

    pid: int
    rss_kb: int
    pss_kb: int
    descriptors: int
    threads: int


def family(pid: int) -> list[int]:
    """The process and its children, whichever of its threads started them."""
    children = [
        child
        for path in sorted(Path(f"/proc/{pid}/task").glob("*/children"))
        for child in _read(path).split()
    ]
    return [pid, *(each for child in children for each in family(int(child)))]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
        return ""


def taken(pid: int) -> Taken:
    """What a process takes now."""
    folder = Path("/proc", str(pid))
    memory = (folder / "smaps_rollup").read_text()
    return Taken(
        pid,
        _number(r"^Rss:\s+(\d+)", memory),
        _number(r"^Pss:\s+(\d+)", memory),
        len(list((folder / "fd").iterdir())),
        _number(r"^Threads:\s+(\d+)", (folder / "status").read_text()),
    )


def family_takes(pid: int) -> list[Taken]:
    """What a process and its children take now; children that end meanwhile are left out."""
    found = []
    for each in family(pid):
        try:
            found.append(taken(each))
        except (FileNotFoundError, ProcessLookupError):
            if each == pid:
                raise
    return found


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])
