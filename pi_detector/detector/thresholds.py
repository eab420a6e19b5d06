"""From which score a detection counts, by class."""

from __future__ import annotations

from pi_detector.config.settings import DetectionSettings
from pi_detector.core.labels import check_labels
from pi_detector.detector.bundle import Bundle

NEVER = 2.0
"""A lowest score that no detection reaches: of labels that are not asked for."""


def lowest_scores(bundle: Bundle, detection: DetectionSettings) -> list[float]:
    """The lowest score of a detection by class: the model's, unless the settings say otherwise.

    Raises:
        ConfigError: a label in the settings is unknown to the model.
    """
    names = [label.name for label in bundle.labels]
    check_labels("detection.labels", detection.labels, names)
    check_labels("detection.min_scores", detection.min_scores, names)
    scores = bundle.default_scores()
    if detection.min_score is not None:
        scores = dict.fromkeys(names, detection.min_score)
    scores |= detection.min_scores
    return [
        scores[name] if not detection.labels or name in detection.labels else NEVER
        for name in names
    ]
