"""A read that another thread ends, whatever is wrapped around its source."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pi_detector.config.settings import RecoverySettings, SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.sources.auto import AutoSource
from pi_detector.sources.base import Source, interrupt
from pi_detector.sources.discover import CameraInfo
from pi_detector.sources.supervised import SupervisedSource
from pi_detector.sources.turn import TurnedSource

TURNED = SourceSettings(uri="camera:", rotate=90)


class Waiting:
    """A source that gives nothing until it is interrupted."""

    name, live = "waiting", True

    def __init__(self) -> None:
        self.reading = threading.Event()
        self._ended = threading.Event()

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Nothing to do."""

    def read(self) -> Frame | None:
        self.reading.set()
        assert self._ended.wait(60), "nobody interrupted it"
        return None

    def interrupt(self) -> None:
        self._ended.set()

    def close(self) -> None:
        """Nothing to do."""


def supervised(source: Source) -> Source:
    recovery = RecoverySettings()
    return SupervisedSource(source, recovery, read_timeout_s=60, grace_s=60, report=lambda _: None)


WRAPPERS: dict[str, Callable[[Source], Source]] = {
    "turned": lambda source: TurnedSource(source, TURNED),
    "auto": lambda source: AutoSource(TURNED, lambda _: source),
    "supervised": supervised,
    "auto, turned, supervised": lambda source: supervised(
        AutoSource(TURNED, lambda _: TurnedSource(source, TURNED))
    ),
}


@pytest.fixture(autouse=True)
def a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = CameraInfo("v4l2:/dev/video0", "webcam", by_id=None, permitted=True)
    monkeypatch.setattr("pi_detector.sources.auto.find_cameras", lambda: [camera])


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_read_ends_at_once(wrapper: str) -> None:
    inner = Waiting()
    source = WRAPPERS[wrapper](inner)
    source.open()
    reader = threading.Thread(target=source.read, daemon=True)
    reader.start()
    assert inner.reading.wait(30)
    interrupt(source)
    reader.join(30)
    assert not reader.is_alive()


def test_a_camera_that_comes_after_the_interrupt_is_not_waited_for() -> None:
    source = AutoSource(TURNED, lambda _: Waiting())
    interrupt(source)
    source.open()
    assert source.read() is None
