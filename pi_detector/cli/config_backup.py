"""``pi-detector config backup`` and ``restore``: all settings as one file."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import add_command, open_output
from pi_detector.errors import ConfigError, SinkError, UsageError

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings

_DEFAULT_PATH = "pi-detector-backup.toml"
_PRIVATE = 0o600
_MOST_BYTES = 1024 * 1024
_OLD = ".old"


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions of ``config``."""
    backup = add_command(
        actions,
        "backup",
        "write all settings to one file",
        "Write the settings file and what the page changed and drew to one file. Secrets that are "
        "files of their own (${secret:NAME}) are not in it.",
        "pi-detector config backup porch.toml",
    )
    backup.add_argument(
        "path",
        metavar="FILE",
        nargs="?",
        default=_DEFAULT_PATH,
        help=f"file to write, - for standard output (default: {_DEFAULT_PATH})",
    )
    backup.add_argument("--force", action="store_true", help="overwrite an existing file")
    backup.set_defaults(command=write_backup)
    restore = add_command(
        actions,
        "restore",
        "put back the settings of a backup",
        "Check the settings of a backup, and put them in the place of the current ones. Those are "
        f"kept beside them, with {_OLD} at the end of their names.",
        "sudo pi-detector config restore porch.toml",
    )
    restore.add_argument("path", metavar="FILE", help="file that 'config backup' wrote")
    restore.set_defaults(command=restore_backup)


def write_backup(args: argparse.Namespace) -> int:
    """Write the backup.

    Raises:
        UsageError: the file exists, and ``--force`` is missing.
        ConfigError: there are no settings to back up, or they are wrong.
        SinkError: it cannot be written.
    """
    from pi_detector.config.backup import backup_toml
    from pi_detector.config.secrets import references

    files = _files(args)
    texts = {name: _text(file) for name, file in files.items() if file.exists()}
    if not texts:
        raise ConfigError("config backup: all settings have their defaults; there is nothing to do")
    settings = _loaded(texts)
    text = backup_toml(texts)
    if args.path == "-":
        with open_output(None) as output:
            output.write(text)
    else:
        _write_private(Path(args.path), text, replace=args.force)
        print(f"{args.path}: holds {', '.join(str(files[name]) for name in texts)}")
    if wanting := sorted(references(settings)):
        print(f"secrets of {', '.join(wanting)} are not in it; keep their files", file=sys.stderr)
    return os.EX_OK


def restore_backup(args: argparse.Namespace) -> int:
    """Put the settings of a backup in the place of the current ones.

    Raises:
        ConfigError: it is no backup, or its settings are wrong.
        SettingsUnwritableError: a file cannot be written.
    """
    from pi_detector.config.backup import files_of

    texts = files_of(_text(Path(args.path)))
    _loaded(texts)
    files = _files(args)
    for name, text in texts.items():
        _replace(files[name], text)
        print(f"{files[name]}: restored")
    print("a running pi-detector applies them at a reload")
    return os.EX_OK


def _files(args: argparse.Namespace) -> dict[str, Path]:
    """Where the files of a backup lie, by their names in it."""
    from pi_detector.config.backup import CONFIG_NAME
    from pi_detector.config.drawn import DRAWN_NAME
    from pi_detector.config.load import SYSTEM_CONFIG, find_config, user_config
    from pi_detector.config.owned import PAGE_NAME
    from pi_detector.util.paths import state_home, with_service

    config = Path(args.config) if args.config else find_config(os.environ)
    environ: Mapping[str, str] = os.environ
    if config == SYSTEM_CONFIG:
        environ = with_service(environ)
    config, state = config or user_config(os.environ), state_home(environ)
    if config is None or state is None:
        raise ConfigError("config: there is no home folder; name the settings file with --config")
    return {CONFIG_NAME: config, DRAWN_NAME: state / DRAWN_NAME, PAGE_NAME: state / PAGE_NAME}


def _loaded(texts: Mapping[str, str]) -> Settings:
    """The settings that files of these texts give. Raises ConfigError."""
    from pi_detector.config.backup import CONFIG_NAME
    from pi_detector.config.load import load_settings

    with tempfile.TemporaryDirectory(prefix="pi-detector-") as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, "utf-8")
        config = Path(folder, CONFIG_NAME)
        config.touch()
        try:
            return load_settings(config, {"STATE_DIRECTORY": folder}, [])
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{folder}/", "")) from error


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(f"{file}: too large for settings; choose another file")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}; try it with sudo") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8; choose another file") from error


def _write_private(path: Path, text: str, *, replace: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, _PRIVATE), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _PRIVATE)
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path}: the file exists; add --force to overwrite it") from error
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}; name a file that you can write") from error


def _replace(file: Path, text: str) -> None:
    """Write a file in the place of one, which is kept; its owner and mode stay."""
    from pi_detector.config.backup import CONFIG_NAME
    from pi_detector.config.edit import unwritable
    from pi_detector.util.whole_files import sync_folder, write_aside

    # The settings file may be a link of its owner. In the state folder, where the service writes, a
    # link could lead root to any file: it is replaced itself.
    path = file.resolve() if file.name == CONFIG_NAME or not file.is_symlink() else file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_symlink():
            held = path.stat()
            old = path.read_bytes()
            mode, owner = stat.S_IMODE(held.st_mode), (held.st_uid, held.st_gid)
            kept = path.with_name(f"{path.name}{_OLD}")
            write_aside(kept, lambda opened: opened.write(old), mode=mode, owner=owner)
        else:
            held = path.parent.stat()
            mode, owner = _PRIVATE, (held.st_uid, held.st_gid)
        data = text.encode()
        write_aside(path, lambda opened: opened.write(data), mode=mode, owner=owner)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(file, error) from error
