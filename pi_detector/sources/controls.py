"""The controls of cameras: their names and ranges, and what is wrong with a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pi_detector.config.settings import ControlValue
from pi_detector.errors import ConfigError
from pi_detector.util.suggest import nearest


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a camera.

    Attributes:
        name: in the settings.
        kind: of its values; ``choice`` is a number or its name, ``other`` is whatever the camera
            takes, such as a list.
        minimum, maximum: of a number; None where the camera does not say.
        default: None where the camera does not say.
        value: the current one, or None where it is not known.
        choices: names by number.
        inactive: another control (an automatic) sets it.
    """

    name: str
    kind: Literal["number", "boolean", "choice", "other"]
    minimum: float | None = None
    maximum: float | None = None
    default: ControlValue | None = None
    value: ControlValue | None = None
    choices: tuple[tuple[int, str], ...] = ()
    inactive: bool = False

    @property
    def range(self) -> str:
        """Its values, in words."""
        if self.kind == "boolean":
            return "true or false"
        if self.choices:
            return ", ".join(f"{number} = {name}" for number, name in self.choices)
        if self.minimum is None or self.maximum is None:
            return "any"
        return f"{self.minimum:g}..{self.maximum:g}"

    def number_of(self, value: ControlValue) -> ControlValue:
        """The value as the camera takes it: a number for the name of a choice.

        Raises:
            ConfigError: it is out of range, or of another kind.
        """
        if isinstance(value, str):
            named = {name.lower(): number for number, name in self.choices}
            if value.lower() not in named:
                raise self._wrong(value)
            return named[value.lower()]
        is_number = isinstance(value, (int, float))
        if self.kind == "boolean" and not (isinstance(value, bool) or value in {0, 1}):
            raise self._wrong(value)
        if self.kind in {"number", "choice"} and not is_number:
            raise self._wrong(value)
        if self.choices and value not in dict(self.choices):
            raise self._wrong(value)
        if self.kind == "number" and self.minimum is not None and self.maximum is not None:
            assert isinstance(value, (int, float))
            if not self.minimum <= value <= self.maximum:
                raise self._wrong(value)
        return value

    def _wrong(self, value: ControlValue) -> ConfigError:
        return ConfigError(
            f"source.controls.{self.name}: the camera does not take {value!r}; set {self.range}"
        )


def find_control(controls: Iterable[Control], name: str, camera: str) -> Control:
    """The control of a name.

    Args:
        controls: that the camera has.
        name: of the settings.
        camera: name of the source, for messages.

    Raises:
        ConfigError: the camera does not have it.
    """
    by_name = {control.name: control for control in controls}
    if name in by_name:
        return by_name[name]
    near = nearest(name, by_name)
    hint = f"did you mean {near}? " if near else ""
    has = ", ".join(sorted(by_name)) or "none"
    raise ConfigError(f"source.controls.{name}: {camera} has no such control; {hint}It has: {has}")
