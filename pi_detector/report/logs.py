"""The log files that a report is about: which they are, whose, in which order, line by line."""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from pi_detector.errors import LogNotFoundError

_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_DIGITS = re.compile(r"(\d+)")
_LONGEST_LINE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of records.

    Attributes:
        path: of the file.
        device: whose records are in it.
    """

    path: Path
    device: str


@dataclass(slots=True)
class Damage:
    """What of a file could not be read.

    Attributes:
        lines: that are no records: damaged, or of a version that is not known.
        half_lines: the last of a file, cut off.
        fault: what ended reading before the end of the file.
    """

    lines: int = 0
    half_lines: int = 0
    fault: str | None = None


def find_logs(arguments: Sequence[str]) -> list[LogFile]:
    """All log files that the arguments name, in the order in which they were written.

    An argument is a file, a folder (searched through) or a glob pattern. A device is a folder that
    holds log files; it is named by the part of its path that distinguishes it. Of a file
    that is there compressed and not, one is taken: a crash can leave both.

    Raises:
        LogNotFoundError: an argument names no log file.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        paths = _named_by(argument)
        if not paths:
            raise LogNotFoundError(
                f"{argument}: no log files ({', '.join(_SUFFIXES)}) in it; name the folder of "
                "output.log, or a copy of it"
            )
        for path in paths:
            plain = _without_compression(path)
            if plain not in found or path.suffix == ".zst":
                found[plain] = path
    names = device_names(sorted({path.parent for path in found}))
    ordered = sorted(found, key=lambda plain: (plain.parent, _natural(plain.name)))
    return [LogFile(found[plain], names[plain.parent]) for plain in ordered]


def device_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The shortest distinct names of folders, without what all paths have in common."""
    if len(folders) == 1:
        return {folders[0]: folders[0].name or str(folders[0])}
    common = Path(os.path.commonpath(folders))
    parts = {folder: folder.relative_to(common).parts for folder in folders}
    tail = 0
    shortest = min(len(part) for part in parts.values())
    while tail < shortest - 1 and len({part[len(part) - tail - 1] for part in parts.values()}) == 1:
        tail += 1
    return {
        folder: "/".join(part[: len(part) - tail]) or f"{common.name}/"
        for folder, part in parts.items()
    }


def lines_of(path: Path, damage: Damage) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file that are not blank, and whether each ends in a newline.

    What cannot be read is noted in ``damage``; lines before it are given all the same.
    """
    from backports.zstd import ZstdError

    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST_LINE_BYTES):
                is_whole = line.endswith(b"\n")
                if not is_whole and len(line) == _LONGEST_LINE_BYTES:
                    damage.lines += 1
                    _skip_line(file)
                elif not line.isspace():
                    yield line, is_whole
    except (OSError, EOFError, zlib.error, ZstdError) as error:
        damage.fault = str(error)


def _skip_line(file: IO[bytes]) -> None:
    while (part := file.readline(_LONGEST_LINE_BYTES)) and not part.endswith(b"\n"):
        pass


def _opened(path: Path) -> IO[bytes]:
    match path.suffix:
        case ".zst":
            from backports.zstd import ZstdFile

            return cast("IO[bytes]", ZstdFile(path))
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case _:
            return path.open("rb")


def _named_by(argument: str) -> list[Path]:
    path = Path(argument)
    if path.is_file():
        return [path.resolve()]
    if path.is_dir():
        return sorted(p.resolve() for p in path.rglob("*") if _is_log(p))
    # Path.glob takes no absolute patterns.
    named = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
    return [p for name in named for p in ([name.resolve()] if _is_log(name) else _inside(name))]


def _inside(path: Path) -> list[Path]:
    return _named_by(str(path)) if path.is_dir() else []


def _is_log(path: Path) -> bool:
    return path.name.endswith(_SUFFIXES) and not path.name.startswith(".") and path.is_file()


def _without_compression(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in {".gz", ".zst"} else path


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which file 10 comes after file 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name)]
