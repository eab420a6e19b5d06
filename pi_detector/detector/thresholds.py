"""From which score a detection counts, by class."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from pi_detector.config.settings import DetectionSettings
from pi_detector.detector.bundle import Bundle
from pi_detector.errors import ConfigError

NEVER = 2.0
"""A lowest score that no detection reaches: of labels that are not asked for."""


def lowest_scores(bundle: Bundle, detection: DetectionSettings) -> list[float]:
    """The lowest score of a detection by class: the model's, unless the settings say otherwise.

    Raises:
        ConfigError: a label in the settings is unknown to the model.
    """
    names = [label.name for label in bundle.labels]
    _check_labels("detection.labels", detection.labels, names)
    _check_labels("detection.min_scores", detection.min_scores, names)
    scores = bundle.default_scores()
    if detection.min_score is not None:
        scores = dict.fromkeys(names, detection.min_score)
    scores |= detection.min_scores
    return [
        scores[name] if not detection.labels or name in detection.labels else NEVER
        for name in names
    ]


def _check_labels(key: str, given: Iterable[str], names: Sequence[str]) -> None:
    for label in given:
        if label not in names:
            near = difflib.get_close_matches(label, names, n=1, cutoff=0.5)
            known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            fix = f"did you mean {near[0]!r}?" if near else f"the model knows {known}"
            raise ConfigError(f"{key}: the model has no label {label!r}; {fix}")
