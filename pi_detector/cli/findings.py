"""What a check of ``pi-detector doctor`` finds."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pi_detector.util.text import one_line


class Level(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        level: ``fail`` where pi-detector cannot do its work, ``warn`` where it does it worse.
        what: the thing that was checked.
        finding: what was seen.
        fix: what to do about it; empty where nothing needs doing.
    """

    level: Level
    what: str
    finding: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.what}: {self.finding}"
        return one_line(f"{line} - {self.fix}" if self.fix else line)


def ok(what: str, finding: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, what, finding)


def warn(what: str, finding: str, fix: str) -> Finding:
    """Works, but worse than it could."""
    return Finding(Level.WARN, what, finding, fix)


def fail(what: str, finding: str, fix: str) -> Finding:
    """Does not work."""
    return Finding(Level.FAIL, what, finding, fix)
