"""What a run did, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """What a run did; ``captured`` = ``processed`` + ``dropped`` + ``abandoned``.

    Attributes:
        captured: frames read from the source.
        processed: frames that went through the detector.
        dropped: frames that a newer one replaced before detection.
        abandoned: frames in flight when the run was stopped.
        sink_dropped: items that a sink did not see, too slow or stuck at the stop, by its name.
        seconds: from the first to the last processed frame.
    """

    captured: int = 0
    processed: int = 0
    dropped: int = 0
    abandoned: int = 0
    sink_dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
