"""Labels that settings name, checked against the model's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pi_detector.errors import ConfigError
from pi_detector.util.suggest import did_you_mean


def check_labels(key: str, given: Iterable[str], names: Sequence[str]) -> None:
    """Check that a model has the labels that a setting names.

    Args:
        key: of the setting, for the message.
        given: labels in the setting.
        names: labels of the model.

    Raises:
        ConfigError: a label is unknown to the model.
    """
    for label in given:
        if label not in names:
            fix = did_you_mean(label, names, "the model's labels: {}")
            raise ConfigError(f"{key}: the model has no label {label!r}; {fix}")
