"""How many looks a frame gets, and which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pi_detector.config.settings import DetectionSettings
from pi_detector.core.looks import Look, TrackedBox
from pi_detector.detector.detector import Prepared
from pi_detector.detector.looking import Tiles, tiles_for
from pi_detector.detector.regions import LookPlanner
from pi_detector.events.motion import Motion

DEFAULT_FPS = 5.0
"""The rate that ``auto`` leaves time for, where ``source.fps`` asks for none: enough for events."""
MOST_AUTO = 8
OFFLINE_AUTO = 4
"""Looks of ``auto`` at a file, whose frames wait for as long as it takes."""

_SPARE = 0.85  # of the time between two frames that the looks may take
_SMOOTH = 0.1  # share of the latest frame in the mean cost of a look


class LookBudget:
    """The most looks that a frame may have. Its parts may be used from any thread.

    Args:
        live: frames do not wait; a file gets the same looks however long they take.

    Attributes:
        limit: of the governor; None for none.
    """

    def __init__(self, *, live: bool = True) -> None:
        self.limit: int | None = None
        self._wanted: int | str = 0
        self._fps = DEFAULT_FPS
        self._live = live
        self._look_ms = 0.0

    def want(self, looks: int | str, fps: float = 0.0) -> None:
        """Set how many are wanted.

        Args:
            looks: `detection.looks`.
            fps: frames per second that `auto` leaves time for; 0 takes the default.
        """
        self._wanted, self._fps = looks, fps or DEFAULT_FPS

    @property
    def enabled(self) -> bool:
        """Whether there are looks at all."""
        return self._wanted != 0

    @property
    def full(self) -> int:
        """Looks at most, the governor aside; 0 looks at the whole frame alone."""
        if not isinstance(self._wanted, str):
            return self._wanted
        if not self._live:
            return OFFLINE_AUTO
        if not self._look_ms:
            return 1
        return max(1, min(MOST_AUTO, int(_SPARE * 1000 / self._fps / self._look_ms)))

    @property
    def looks(self) -> int:
        """Looks at most, now."""
        return self.full if self.limit is None else min(self.full, self.limit)

    def note(self, looks: int, cost_ms: float) -> None:
        """Remember what the looks at a frame took together."""
        each_ms = cost_ms / max(1, looks)
        before_ms = self._look_ms or each_ms
        self._look_ms = before_ms + _SMOOTH * (each_ms - before_ms)


class Looking(Protocol):
    """Chooses the looks at each frame of a run. For one thread."""

    def choose(
        self, prepared: Prepared, motion: Motion | None, tracks: Sequence[TrackedBox]
    ) -> tuple[Look, ...]:
        """The looks at a frame that is inferred; empty for the whole frame alone.

        Args:
            prepared: the frame.
            motion: what moves in it; None where no gate watches.
            tracks: objects that are followed.
        """

    def note(self, looks: int, cost_ms: float) -> None:
        """Remember what the looks at a frame took together. From any thread."""


class Tiling:
    """The same tiles of every frame, and the whole.

    Args:
        tiles: how many.
    """

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles

    def choose(
        self,
        prepared: Prepared,
        motion: Motion | None,  # noqa: ARG002
        tracks: Sequence[TrackedBox],  # noqa: ARG002
    ) -> tuple[Look, ...]:
        """The whole frame and its tiles."""
        frame = prepared.frame
        looks = tiles_for(self._tiles, (frame.width, frame.height), prepared.detector.input_size)
        return looks if len(looks) > 1 else ()

    def note(self, looks: int, cost_ms: float) -> None:
        """Nothing depends on it."""


class PlannedLooks:
    """Looks where something small moves, is followed, or may stand, within a budget.

    Args:
        settings: section `detection`.
        budget: of looks.
    """

    def __init__(self, settings: DetectionSettings, budget: LookBudget) -> None:
        self._budget = budget
        self._whole_every = settings.whole_every
        self._planner: LookPlanner | None = None

    def choose(
        self, prepared: Prepared, motion: Motion | None, tracks: Sequence[TrackedBox]
    ) -> tuple[Look, ...]:
        """See ``Looking``."""
        looks = self._budget.looks
        if looks < 1 or motion is None:
            return ()
        frame, input_size = prepared.frame, prepared.detector.input_size
        if self._planner is None or self._planner.input_size != input_size:
            self._planner = LookPlanner(input_size, self._whole_every)
        size = (frame.width, frame.height)
        if motion.why in ("heartbeat", "scene change"):
            return self._planner.whole(size)
        return self._planner.plan(size, motion.regions, tracks, looks)

    def note(self, looks: int, cost_ms: float) -> None:
        """See ``Looking``."""
        self._budget.note(looks, cost_ms)
