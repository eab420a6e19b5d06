"""The editor of zones, lines and masks: shows, checks and saves them."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pi_detector.config.drawn import Places, drawn_toml, places_of, version_of
from pi_detector.config.owned import Check
from pi_detector.config.settings import (
    LineSettings,
    Polygon,
    PrivacySettings,
    Settings,
    ZoneSettings,
)
from pi_detector.errors import ConfigError, SinkError
from pi_detector.sinks.files import prepare_folder, write_whole

log = logging.getLogger(__name__)

_PLACE_OF_MESSAGE = re.compile(r"^.*?drawn\.toml:\d+: ", re.MULTILINE)


class RefusedError(Exception):
    """What was drawn is not saved.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the editor begins with.

    Attributes:
        zones: zones by name.
        lines: lines by name.
        masks: motion masks by name.
        privacy: privacy masks by name.
        version: differs with each change.
        labels: those that zones and lines may choose.
        motion: whether the motion gate, which masks are for, is on.
        locked: why nothing can be saved; null where it can.
    """

    zones: dict[str, ZoneSettings]
    lines: dict[str, LineSettings]
    masks: dict[str, Polygon]
    privacy: dict[str, PrivacySettings]
    version: str
    labels: list[str]
    motion: bool
    locked: str | None


class Editor:
    """Saves what is drawn to a file, after the checks of all settings.

    Args:
        settings: current settings; may be replaced.
        labels: that may be chosen; may be replaced.
        file: to write; None without a state folder.
        check: reads the settings with another text in the place of the file; None: nothing can be
            saved.
        reload: has the settings read again.
    """

    def __init__(
        self,
        settings: Settings,
        labels: list[str],
        file: Path | None,
        check: Check | None,
        reload: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.labels = labels
        self._file = file
        self._check = check
        self._reload = reload
        self._saving = threading.Lock()

    @property
    def version(self) -> str:
        """Version of the current zones, lines and masks."""
        return version_of(places_of(self.settings))

    def shown(self) -> Shown:
        """The current zones, lines and masks."""
        places = places_of(self.settings)
        return Shown(
            zones=places.zones,
            lines=places.lines,
            masks=places.masks,
            privacy=places.privacy,
            version=version_of(places),
            labels=self.labels,
            motion=self.settings.motion.enabled,
            locked=None
            if self._check and self._file
            else "this run cannot save zones, lines and masks",
        )

    def save(self, body: bytes) -> str:
        """Check and save what was drawn, and have it read.

        Args:
            body: JSON: ``zones``, ``lines``, ``masks``, ``privacy`` as in the settings, and the
                ``version`` that they were made from. Without ``privacy`` those masks stay.

        Returns:
            The version that will apply.

        Raises:
            RefusedError: it is wrong, out of date, or another setting is above it.
        """
        with self._saving:
            return self._save(body)

    def _save(self, body: bytes) -> str:
        if self._check is None or self._file is None:
            raise RefusedError(409, "this run cannot save zones, lines and masks")
        try:
            tree = msgspec.json.decode(body, type=dict[str, Any])
            based_on = tree.pop("version", None)
            tree.setdefault("privacy", msgspec.to_builtins(self.settings.privacy))
            text = drawn_toml(tree)
        except (msgspec.MsgspecError, RecursionError, TypeError, ValueError) as error:
            raise RefusedError(400, f"not valid zones, lines and masks: {error}") from error
        if based_on != self.version:
            raise RefusedError(
                409, "zones, lines or masks have changed in the meantime; reload the page"
            )
        try:
            settings = self._check(text)
            drawn = msgspec.convert(tree, Places)
            beneath = self._check(drawn_toml(tree | {"privacy": {}})).privacy
        except ConfigError as error:
            raise RefusedError(422, _PLACE_OF_MESSAGE.sub("", str(error))) from error
        except msgspec.ValidationError as error:
            raise RefusedError(422, str(error)) from error
        _see_in_force(drawn, places_of(settings), beneath)
        own = {name: mask for name, mask in drawn.privacy.items() if mask != beneath.get(name)}
        text = drawn_toml(tree | {"privacy": msgspec.to_builtins(own)})
        try:
            prepare_folder(self._file.parent)
            write_whole(self._file, text.encode(), durable=True)
        except SinkError as error:
            raise RefusedError(507, str(error)) from error
        log.info("web: zones, lines and masks saved to %s", self._file)
        self._reload()
        return version_of(places_of(settings))


def _see_in_force(drawn: Places, held: Places, beneath: Mapping[str, PrivacySettings]) -> None:
    """Raise RefusedError where something else would keep what is drawn from applying.

    Args:
        drawn: what is to be saved.
        held: what would apply then.
        beneath: the privacy masks without those that are drawn.
    """
    if kept := [name for name in beneath if name not in drawn.privacy]:
        raise RefusedError(
            409,
            f"not saved: the settings file of pi-detector sets privacy.{', privacy.'.join(kept)}; "
            "remove it there",
        )
    over = [
        "motion.masks" if name == "masks" else name
        for name in Places.__struct_fields__
        if getattr(drawn, name) != getattr(held, name)
    ]
    if over:
        raise RefusedError(
            409,
            "not saved: the environment or the command line of pi-detector sets "
            f"{', '.join(over)}, which overrides the drawing; remove it there first",
        )
