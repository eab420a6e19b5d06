"""The parts of the machine that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pi_detector.config.section import Section
from pi_detector.config.settings import Settings
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.detector import Detector
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.privacy import PrivacyMasks


@dataclass(frozen=True, slots=True)
class Setup:
    """What the live parts of the machine are made from: each is made again when that changes.

    Attributes:
        detector: of ``make_detector``; the governor starts at full speed with other settings.
        stage: of ``make_stage``.
        gate: of ``make_gate``.
        privacy: of ``make_privacy``.
        hours: of the schedules.
        log: the log's level, which is set.
    """

    detector: tuple[Section, ...]
    stage: tuple[Section | Mapping[str, Section], ...]
    gate: Section
    privacy: Mapping[str, Section]
    hours: tuple[Section | Mapping[str, Section], ...]
    log: Section

    @classmethod
    def of(cls, settings: Settings) -> Setup:
        """What the settings ask for."""
        tracking = settings.tracking
        return cls(
            detector=(settings.model, settings.detection, tracking, settings.governor),
            stage=(tracking, settings.events, settings.filters, settings.zones, settings.lines),
            gate=settings.motion,
            privacy=settings.privacy,
            hours=(settings.schedule, settings.location),
            log=settings.log,
        )


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


def make_stage(settings: Settings, detector: Detector) -> EventStage:
    """The event stage that the settings ask for."""
    return EventStage(settings, detector.labels, detector.min_scores)


def make_privacy(settings: Settings) -> PrivacyMasks | None:
    """The privacy masks, where the settings have some."""
    return PrivacyMasks(settings.privacy) if settings.privacy else None


def make_gate(settings: Settings) -> MotionGate | None:
    """The motion gate, where the settings want one."""
    return MotionGate(settings.motion) if settings.motion.enabled else None
