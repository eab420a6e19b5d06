"""The pipeline as the daemon makes it: tracking and events on, records as JSON to /dev/null.

The clip is decoded in this process, as a camera's frames are by default.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from benchmarks.contenders.common import WARM_UP, Probe, RateLimit, arguments
from pi_detector.config.load import load_settings
from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame
from pi_detector.detector.bundle import load_model
from pi_detector.pipeline.build import make_detector, make_stage
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.pipeline.supervision import Supervision
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.sources.video import VideoSource
from pi_detector.telemetry.meter import Meter


class PacedVideo(VideoSource):
    """A video that is like a camera if it has a rate."""

    def __init__(self, path: str, settings: Settings, fps: float) -> None:
        super().__init__(path, settings.source)
        self.live = fps > 0
        self._pace = RateLimit(fps)

    def read(self) -> Frame | None:
        """The next frame, when it is there."""
        self._pace.wait()
        return super().read()


class ProbedSink(JsonLinesSink):
    """Tells the probe of each record of a frame that is written."""

    def __init__(self, stream, probe: Probe) -> None:
        super().__init__(stream)
        self._probe = probe

    def handle(self, item) -> None:
        """Write, then tell."""
        super().handle(item)
        if hasattr(item, "detections"):
            self._probe.frame(item.frame.captured_ns)


def main() -> None:
    """Run it over the clip."""
    args = arguments()
    settings = load_settings(None, {}, [f"model.threads={args.threads}", "source.loop=true"])
    model = msgspec.structs.replace(settings.model, path=str(Path(args.manifest).parent))
    settings = msgspec.structs.replace(settings, model=model)
    detector = make_detector(settings, load_model(settings.model))
    probe = Probe()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        pipeline = Pipeline(
            PacedVideo(args.clip, settings, args.fps),
            detector,
            [ProbedSink(nowhere, probe), Meter()],
            supervision=Supervision(settings.recovery, settings.source.read_timeout_s),
            stage=make_stage(settings, detector),
        )
        pipeline.run(threading.Event(), max_frames=WARM_UP + args.frames)
    probe.report()


if __name__ == "__main__":
    main()
