"""The findings of ``pi-detector doctor``."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pi_detector.util.text import one_line


class Level(enum.StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        level: ``fail`` if pi-detector cannot work, ``warn`` if it works with limitations.
        what: the subject of the check.
        finding: the result.
        fix: how to fix it; empty if nothing needs fixing.
    """

    level: Level
    what: str
    finding: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.what}: {self.finding}"
        return one_line(f"{line} - {self.fix}" if self.fix else line)


def ok(what: str, finding: str) -> Finding:
    """A check that passed."""
    return Finding(Level.OK, what, finding)


def warn(what: str, finding: str, fix: str) -> Finding:
    """Something that works with limitations."""
    return Finding(Level.WARN, what, finding, fix)


def fail(what: str, finding: str, fix: str) -> Finding:
    """Something that does not work."""
    return Finding(Level.FAIL, what, finding, fix)
