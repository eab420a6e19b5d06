"""The parts of the machine that the settings ask for."""

from __future__ import annotations

from pi_detector.config.settings import Settings
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.detector import Detector
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage


def make_detector(settings: Settings, bundle: Bundle) -> Detector:
    """The detector that the settings ask for."""
    share = settings.tracking.low_score_share if settings.tracking.enabled else 1.0
    return Detector(bundle, settings.model, settings.detection, low_score_share=share)


def make_stage(settings: Settings, detector: Detector) -> EventStage:
    """The event stage that the settings ask for."""
    return EventStage(settings, detector.labels, detector.min_scores)


def make_gate(settings: Settings) -> MotionGate | None:
    """The motion gate, where the settings want one."""
    return MotionGate(settings.motion) if settings.motion.enabled else None
