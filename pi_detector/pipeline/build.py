"""Builds the parts of the pipeline from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pi_detector.config.settings import PrivacySettings, Settings
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.detector import Detector
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.looks import LookBudget, PlannedLooks
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.util.paths import output_path, recordings_folder, state_folder


def make_detector(settings: Settings, bundle: Bundle, *, tracked: bool = True) -> Detector:
    """The detector that the settings ask for.

    Args:
        settings: all settings.
        bundle: the model.
        tracked: a tracker follows, if the settings have one; it also wants lower scores.
    """
    import cv2

    # The cores belong to the interpreter: OpenCV's pool would only push its threads aside.
    cv2.setNumThreads(1)
    share = settings.tracking.low_score_share if tracked and settings.tracking.enabled else 1.0
    return Detector(
        bundle,
        runtime=settings.model.runtime,
        threads=settings.model.threads,
        detection=settings.detection,
        low_score_share=share,
    )


def growing_folder(settings: Settings, environ: Mapping[str, str]) -> Path:
    """The folder in which files grow: of recordings, else logs, else snapshots, else state.

    Raises:
        SinkError: a setting names a folder that makes no sense.
    """
    output = settings.output
    if settings.recording.enabled:
        return recordings_folder(settings.recording.path, environ)
    if named := output.log or output.snapshots:
        return output_path(named)
    return state_folder("", environ)


def make_stage(settings: Settings, detector: Detector) -> EventStage:
    """The event stage that the settings ask for."""
    return EventStage(settings, detector.labels, detector.min_scores)


def make_privacy(
    settings: Settings, held: Mapping[str, PrivacySettings] | None = None
) -> PrivacyMasks | None:
    """The privacy masks, where the settings have some.

    Args:
        settings: all settings.
        held: masks that are black besides.
    """
    masks = [settings.privacy]
    if held is not None and held != settings.privacy:
        masks.append(dict(held))
    return PrivacyMasks(*masks) if any(masks) else None


def make_gate(settings: Settings) -> MotionGate | None:
    """The motion gate, where the settings want one, or looks, which it finds regions for."""
    wants_regions = settings.detection.looks != 0
    if not (settings.motion.enabled or wants_regions):
        return None
    return MotionGate(settings.motion, wants_regions=wants_regions)


def make_looking(settings: Settings, budget: LookBudget) -> PlannedLooks | None:
    """What chooses the looks at each frame, where the settings want several.

    Args:
        settings: all settings.
        budget: of looks; it is set to what the settings want.
    """
    rate_fps = settings.detection.max_fps or settings.source.fps
    budget.want(settings.detection.looks, rate_fps)
    return PlannedLooks(settings.detection, budget) if budget.enabled else None
