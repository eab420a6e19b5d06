"""The settings that may be changed on the page: shows, checks and saves them."""

from __future__ import annotations

import logging
import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pi_detector.config.backup import backup_toml, files_of
from pi_detector.config.changes import RELOADS, SECTIONS, at_restart
from pi_detector.config.check import dotted
from pi_detector.config.drawn import DRAWN_NAME
from pi_detector.config.notify import shown_url
from pi_detector.config.owned import (
    NAMED,
    OWNED,
    PAGE_NAME,
    Check,
    changed,
    is_owned,
    page_toml,
    version_of_text,
    without,
)
from pi_detector.config.secrets import with_secrets
from pi_detector.config.settings import Settings, is_hidden
from pi_detector.config.text import documentation
from pi_detector.errors import ConfigError, PiDetectorError, SinkError
from pi_detector.sinks.files import prepare_folder, write_whole
from pi_detector.sinks.web.editor import RefusedError

log = logging.getLogger(__name__)

_MODE = 0o600  # addresses of services are secrets
_SECRET = "${secret:"
_PLACE_OF_MESSAGE = re.compile(r"^.*?(?:page|drawn)\.toml:\d+: ", re.MULTILINE)
_NOT_HERE = "this run cannot save settings"


class SettingField(msgspec.Struct, frozen=True, kw_only=True):
    """A setting in a form.

    Attributes:
        path: names from the section to the setting.
        help: what it does, and what it accepts.
        schema: JSON Schema of its value.
        value: as a start would read it; of a secret what may be shown.
        otherwise: its value without what was changed on the page.
        changed: whether it was changed on the page.
        restart: whether a change takes effect at the next start alone.
        secret: the value is never shown, and is replaced as a whole.
    """

    path: list[str]
    help: str
    schema: dict[str, Any]
    value: Any
    otherwise: Any
    changed: bool
    restart: bool
    secret: bool


class SettingTable(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the form: a section, or one of its tables that have names.

    Attributes:
        section: name of the section.
        name: of the table; null for a section without such tables.
        about: what it is for.
        fields: its settings; their values in a blank table are the defaults.
        own: whether the table exists on the page alone, and so can be removed there.
    """

    section: str
    name: str | None
    about: str
    fields: list[SettingField]
    own: bool = False


class SettingsShown(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that may be changed.

    Attributes:
        version: differs with each change on the page.
        tables: the sections and tables, in order.
        blank: for each section of named tables what a new one begins with.
        waiting: settings that take effect at the next start.
        locked: why nothing can be saved; null where it can.
    """

    version: str
    tables: list[SettingTable]
    blank: list[SettingTable]
    waiting: list[str]
    locked: str | None


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A setting and its new value.

    Attributes:
        path: names from the section to the setting, or into it.
        value: as in the settings file.
    """

    path: list[str]
    value: Any


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes, all of which are saved or none.

    Attributes:
        version: of the settings that they were made from.
        set: settings and new values.
        reset: settings, or tables, that are as the settings file has them again.
        save: false checks them only.
    """

    version: str
    set: list[Edit] = []
    reset: list[list[str]] = []
    save: bool = True


class SettingsSaved(msgspec.Struct, frozen=True, kw_only=True):
    """What came of changes, or would.

    Attributes:
        version: of the settings with them.
        restart: those that take effect at the next start alone.
        saved: whether they were saved.
    """

    version: str
    restart: list[str]
    saved: bool


class Desk:
    """Changes settings in a layer of their own, after the checks of all settings.

    Args:
        settings: those that apply, with their secrets; may be replaced.
        file: to write; None without a state folder.
        check: reads settings; None: nothing can be saved.
        reload: has the settings read again.
    """

    def __init__(
        self,
        settings: Settings,
        file: Path | None,
        check: Check | None,
        reload: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._file = file
        self._check = check
        self._reload = reload
        self._saving = threading.Lock()

    def shown(self) -> SettingsShown:
        """The form. Raises RefusedError where the settings cannot be read now."""
        text = self._text()
        tree = _tree(text)
        try:
            now = self._check(page=text) if self._check else self.settings
            otherwise = self._check(page="") if self._check else self.settings
        except ConfigError as error:
            raise RefusedError(409, f"the settings cannot be read: {error}") from error
        return SettingsShown(
            version=version_of_text(text),
            tables=list(_tables(now, otherwise, tree)),
            blank=[_table(name, None, None, None, {}) for name in OWNED if name in NAMED],
            waiting=_owned(at_restart(self.settings, now)),
            locked=None if self._check and self._file else _NOT_HERE,
        )

    def change(self, wanted: SettingsChange) -> SettingsSaved:
        """Check changes, save them, and have them read.

        Raises:
            RefusedError: they are wrong, out of date, or another setting is above them.
        """
        with self._saving:
            text = self._text()
            if wanted.version != version_of_text(text):
                raise RefusedError(409, "settings have changed in the meantime; reload the page")
            tree = _tree(text)
            for edit in wanted.set:
                _check_edit(edit)
                tree = changed(tree, edit.path, edit.value)
            for path in wanted.reset:
                if not (is_owned(tuple(path)) or (len(path) == 2 and path[0] in NAMED)):
                    raise RefusedError(422, f"{dotted(tuple(path))}: is not changed on the page")
                tree = without(tree, path)
            try:
                new = page_toml(tree)
            except (TypeError, ValueError) as error:
                raise RefusedError(422, f"not valid settings: {error}") from error
            settings = self._checked(page=new)
            _see_above(wanted.set, settings)
            restart = _owned(at_restart(self.settings, settings))
            if wanted.save:
                self._write({PAGE_NAME: new})
            return SettingsSaved(
                version=version_of_text(new if wanted.save else text),
                restart=restart,
                saved=wanted.save,
            )

    def backup(self) -> str:
        """What was changed on the page and drawn, as one file, without secrets."""
        tree = _tree(self._text())
        for rule in tree.get("notify", {}).values():
            rule.pop("urls", None)
        files = {PAGE_NAME: page_toml(tree)}
        drawn = self._drawn()
        if drawn is not None and drawn.exists():
            files[DRAWN_NAME] = drawn.read_text("utf-8")
        return backup_toml(files)

    def restore(self, text: str) -> SettingsSaved:
        """Put a backup in the place of what was changed on the page and drawn.

        Addresses of messages, which a backup does not hold, stay; a rule without one is off.

        Raises:
            RefusedError: it is no backup, or its settings are wrong here.
        """
        with self._saving:
            try:
                files = files_of(text)
            except ConfigError as error:
                raise RefusedError(422, str(error)) from error
            page = _tree(files.get(PAGE_NAME, ""))
            if _SECRET in str(page):
                raise RefusedError(422, _no_reference("the backup"))
            current = _tree(self._text()).get("notify", {})
            file_rules = self._checked(page="").notify
            for name, rule in page.get("notify", {}).items():
                if urls := current.get(name, {}).get("urls"):
                    rule["urls"] = urls
                elif name not in file_rules:
                    rule["enabled"] = False
            new = page_toml(page)
            settings = self._checked(page=new, drawn=files.get(DRAWN_NAME))
            written = {PAGE_NAME: new}
            if DRAWN_NAME in files:
                written[DRAWN_NAME] = files[DRAWN_NAME]
            restart = _owned(at_restart(self.settings, settings))
            self._write(written)
            return SettingsSaved(version=version_of_text(new), restart=restart, saved=True)

    def _checked(self, **texts: str | None) -> Settings:
        if self._check is None or self._file is None:
            raise RefusedError(409, _NOT_HERE)
        try:
            settings = self._check(**texts)
            _see_services(settings)
        except PiDetectorError as error:
            raise RefusedError(422, _PLACE_OF_MESSAGE.sub("", str(error))) from error
        return settings

    def _text(self) -> str:
        if self._file is None or not self._file.exists():
            return ""
        return self._file.read_text("utf-8", "replace")

    def _drawn(self) -> Path | None:
        return None if self._file is None else self._file.with_name(DRAWN_NAME)

    def _write(self, texts: Mapping[str, str]) -> None:
        assert self._file is not None, "checked before"
        try:
            prepare_folder(self._file.parent)
            for name, text in texts.items():
                write_whole(self._file.with_name(name), text.encode(), durable=True, mode=_MODE)
        except SinkError as error:
            raise RefusedError(507, str(error)) from error
        log.info("web: settings saved to %s", self._file)
        self._reload()


def _tree(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(409, f"{PAGE_NAME}: not valid TOML: {error}; delete it") from error


def _check_edit(edit: Edit) -> None:
    name = dotted(tuple(edit.path)) if edit.path else "settings"
    if not is_owned(tuple(edit.path)):
        raise RefusedError(422, f"{name}: cannot be changed on the page; edit the settings file")
    if edit.value is None:
        raise RefusedError(422, f"{name}: has no value; reset it instead")
    # One who may change settings must not have a secret sent to a server of theirs.
    if _SECRET in str(edit.value):
        raise RefusedError(422, _no_reference(name))


def _no_reference(name: str) -> str:
    return f"{name}: may not refer to a secret from here; write ${{secret:NAME}} in the file"


def _see_above(edits: list[Edit], settings: Settings) -> None:
    """Raise RefusedError where something above the page's layer would hide an edit."""
    held = msgspec.to_builtins(settings)
    over = [dotted(tuple(edit.path)) for edit in edits if _at(held, edit.path) != edit.value]
    if over:
        raise RefusedError(
            409,
            f"not saved: the environment or the command line of pi-detector sets {', '.join(over)};"
            " remove it there first",
        )


def _see_services(settings: Settings) -> None:
    """Raise PiDetectorError where a message could not be sent at all by a rule."""
    if not any(rule.enabled for rule in settings.notify.values()):
        return
    from pi_detector.sinks.notify.sink import services_of

    for rule in with_secrets(settings, os.environ, section="notify").notify.values():
        if rule.enabled:
            services_of(rule)


def _owned(names: list[str]) -> list[str]:
    return [name for name in names if is_owned(tuple(name.split(".")))]


def _at(tree: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(tree, Mapping) or name not in tree:
            return None
        tree = tree[name]
    return list(tree) if isinstance(tree, tuple) else tree


def _tables(now: Settings, otherwise: Settings, tree: dict[str, Any]) -> Iterator[SettingTable]:
    for section in OWNED:
        if section not in NAMED:
            held, below = getattr(now, section), getattr(otherwise, section)
            yield _table(section, None, held, below, tree.get(section, {}))
            continue
        for name, held in getattr(now, section).items():
            below = getattr(otherwise, section).get(name)
            yield _table(section, name, held, below, tree.get(section, {}).get(name, {}))


def _table(
    section: str, name: str | None, now: Any, otherwise: Any, layer: dict[str, Any]
) -> SettingTable:
    kind = SECTIONS[section]
    summary, about = documentation(kind)
    path = [section] if name is None else [section, name]
    fields = []
    for field in msgspec.structs.fields(kind):
        if field.name not in OWNED[section]:
            continue
        whole = [*path, field.name]
        values = [getattr(each or kind(), field.name) for each in (now, otherwise)]
        secret = is_hidden((section, name or "", field.name))
        if secret:
            values = [[shown_url(str(url)) for url in each] for each in values]
        fields.append(
            SettingField(
                path=whole,
                help=about.get(field.name, ""),
                schema=msgspec.json.schema(field.type),
                value=values[0],
                otherwise=values[1],
                changed=field.name in layer,
                restart=RELOADS[section] == "restart",
                secret=secret,
            )
        )
    own = name is not None and otherwise is None and now is not None
    return SettingTable(section=section, name=name, about=summary, fields=fields, own=own)
