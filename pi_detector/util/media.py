"""Recognizes images and videos: by a list of suffixes, else by their content."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Kind = Literal["image", "video"]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""Suffixes, in lower case, of files that are taken as an image."""

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts"}
    | {".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"}
    | {".vob", ".webm", ".wmv"}
)
"""Suffixes, in lower case, of files that are taken as a video."""

# Images and videos of kinds that nothing here decodes: skipping one is worth a warning.
_UNREADABLE_SUFFIXES = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".gif", ".heic", ".heif", ".jxl", ".nef", ".orf"}
    | {".raf", ".raw", ".rw2", ".svg"}
)
_HEAD = 400
_TS_PACKET = 188
_IMAGE_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_VIDEO_BEGINNINGS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG video
    b"\0\0\0\x01\x67",  # H.264, beginning with its parameters
    b"\0\0\0\x01\x27",
    b"\0\0\0\x01\x40",  # H.265
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
)
_BRANDS_OF_IMAGES = frozenset({b"avif", b"avis", b"heic", b"heif", b"heix", b"mif1", b"msf1"})
_MOST_SUFFIXES = 8


@dataclass
class Listing:
    """What was found in a folder.

    Attributes:
        files: of the kinds that were asked for, sorted by name.
        skipped: the others, by suffix.
        faulty: entries that cannot be read, with the reason; each was logged.
    """

    files: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    faulty: list[tuple[Path, OSError]] = field(default_factory=list)


def kind_of(path: Path) -> Kind | None:
    """What a file is, by its suffix, else by its content; None where it is neither.

    A pipe, which one reader alone may read, is judged by its suffix.

    Raises:
        OSError: its suffix says nothing, and it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return kind_of_content(file.read(_HEAD))


def kind_of_content(head: bytes) -> Kind | None:
    """The kind of a file by its first bytes; None if they do not decide, or nothing decodes it."""
    container, brand = head[:4], head[8:12]
    if head.startswith(_IMAGE_BEGINNINGS) or (container == b"RIFF" and brand == b"WEBP"):
        return "image"
    if head[4:8] == b"ftyp":
        return None if brand in _BRANDS_OF_IMAGES else "video"
    packets = head[::_TS_PACKET]
    transport = len(packets) > 2 and set(packets) == {0x47}
    if head.startswith(_VIDEO_BEGINNINGS) or transport:
        return "video"
    return "video" if container == b"RIFF" and brand == b"AVI " else None


def list_folder(folder: Path, kinds: frozenset[Kind]) -> Listing:
    """The images or videos of a folder and its subfolders.

    An entry that cannot be read (a broken link, a folder without permission) is logged, and is no
    reason to leave the others out; how many files were skipped is logged as well.

    Args:
        folder: that exists.
        kinds: that are wanted.

    Raises:
        OSError: the folder itself cannot be read.
    """
    listing = Listing()
    with os.scandir(folder):
        pass  # os.walk would leave it out without a word
    for path in _walk(folder, listing):
        try:
            kind = _kind_of_entry(path)
        except OSError as error:
            _add_fault(listing, path, error)
            continue
        if kind in kinds and not path.name.startswith("._"):  # what a Mac leaves beside each file
            listing.files.append(path)
        else:
            listing.skipped[path.suffix.lower() or "no suffix"] += 1
    listing.files.sort()
    _log_skipped(folder, listing.skipped)
    return listing


def _walk(folder: Path, listing: Listing) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        _add_fault(listing, Path(os.fsdecode(error.filename or folder)), error)

    for root, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        links = sum(Path(root, name).is_symlink() for name in folders)
        if links:
            listing.skipped["links to folders"] += links
        for name in sorted(names):
            yield Path(root, name)


def _kind_of_entry(path: Path) -> Kind | None:
    """The kind of an entry, which need not be a file: reading a pipe would wait for ever."""
    is_file = stat.S_ISREG(path.stat().st_mode)  # of a broken link there is none
    return kind_of(path) if is_file else None


def _add_fault(listing: Listing, path: Path, error: OSError) -> None:
    reason = "a link to nothing" if path.is_symlink() and not path.exists() else error.strerror
    log.warning("%s: skipped because it cannot be read (%s)", path, reason)
    listing.faulty.append((path, error))


def _log_skipped(folder: Path, skipped: Counter[str]) -> None:
    if not skipped:
        return
    count = skipped.total()
    common = skipped.most_common(_MOST_SUFFIXES)
    counts = ", ".join(f"{suffix} {number}" for suffix, number in common)
    more = ", ..." if len(skipped) > len(common) else ""
    level = logging.WARNING if _UNREADABLE_SUFFIXES & skipped.keys() else logging.INFO
    files = "file" if count == 1 else "files"
    log.log(level, "%s: %d %s skipped (%s%s)", folder, count, files, counts, more)
