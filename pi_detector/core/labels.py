"""Labels that settings name, checked against the model's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pi_detector.config.settings import Settings
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


def check_event_labels(settings: Settings, labels: Iterable[str]) -> None:
    """Check the labels in all settings about events.

    Args:
        settings: all settings.
        labels: those of the model.

    Raises:
        ConfigError: the model does not know one.
    """
    known = list(labels)
    given: dict[str, tuple[str, ...]] = {f"filters.{label}": (label,) for label in settings.filters}
    given |= {"events.cooldowns_s": tuple(settings.events.cooldowns_s)}
    given |= {f"zones.{name}.labels": zone.labels for name, zone in settings.zones.items()}
    given |= {f"notify.{name}.labels": rule.labels for name, rule in settings.notify.items()}
    given |= {f"lines.{name}.labels": line.labels for name, line in settings.lines.items()}
    for key, wanted in given.items():
        check_labels(key, wanted, known)
