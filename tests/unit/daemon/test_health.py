"""The line that ``systemctl status`` shows."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pi_detector.daemon import health, systemd
from pi_detector.daemon.health import STATUS_INTERVAL_S, Health
from pi_detector.daemon.systemd import Notifier


class Manager:
    """What the service manager was told, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.now_s = 100.0
        monkeypatch.setattr(systemd, "_sender", lambda: self.told.append)
        monkeypatch.setattr(health.time, "monotonic", lambda: self.now_s)
        environ: Mapping[str, str] = {"NOTIFY_SOCKET": "/nowhere"}
        self.notifier = Notifier(environ)
        self.health = Health(self.notifier)
        self.pipeline = SimpleNamespace(
            counters=SimpleNamespace(processed=0),
            progressed_s=0.0,
            source_name="porch",
            source_state="live",
            paused=False,
            last_found=None,
        )

    def tell(self, after_s: float, frames: int = 0) -> str:
        """The last status line, after some time."""
        self.now_s += after_s
        self.pipeline.counters.processed += frames
        self.health.update(cast("Any", self.pipeline))
        return [each for each in self.told if each.startswith("STATUS=")][-1]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    return Manager(monkeypatch)


def test_a_reload_is_told_at_once(manager: Manager) -> None:
    plain = "STATUS=porch live, 10.0 frames/s, nothing detected yet"
    assert manager.tell(STATUS_INTERVAL_S, 50) == plain
    manager.health.trouble = "reload refused: x.toml:2: no"
    assert manager.tell(0.01) == f"{plain}; reload refused: x.toml:2: no"
    manager.health.waiting = "at the next restart: source.uri"
    manager.health.trouble = ""
    assert manager.tell(0.01) == f"{plain}; at the next restart: source.uri"
    manager.health.waiting = ""
    assert manager.tell(0.01) == plain


def test_it_is_one_line_without_secrets(manager: Manager) -> None:
    manager.notifier.status("a\nMAINPID=1\x1b http://bob:secret@cam/x")
    assert manager.told == ["STATUS=a\\nMAINPID=1\\x1b http://cam/x"]
