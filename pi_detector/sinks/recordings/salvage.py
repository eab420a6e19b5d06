"""Salvages clips that a power cut left unfinished: truncates them after the last good fragment."""

from __future__ import annotations

import os
from pathlib import Path

from pi_detector.errors import DependencyMissingError
from pi_detector.sinks.recordings.encoder import load_av

_DOUBTFUL_FRAGMENTS = 15  # more than a batch: what was written before it is durable
_HEADER_BYTES = 8


def salvage(part: Path, path: Path) -> float | None:
    """Give an unfinished clip its name, or delete it where nothing of it plays.

    Args:
        part: the unfinished clip.
        path: its name to be.

    Returns:
        Its duration in seconds, or None where nothing was left of it.

    Raises:
        OSError: the disk does not allow it.
    """
    starts, end = whole_fragments(part)
    if not starts:
        part.unlink()
        return None
    _truncate(part, end)
    good = _good_end(part, starts, end)
    if good is None:
        part.unlink()
        return None
    cut, duration_s = good
    _truncate(part, cut)
    part.rename(path)
    return duration_s


def whole_fragments(path: Path) -> tuple[list[int], int]:
    """Where the complete fragments of an MP4 file start, and where the last of them ends.

    Source: ISO/IEC 14496-12, 4.2 (boxes) and 8.8 (movie fragments).
    """
    starts: list[int] = []
    end = position = 0
    begun: int | None = None
    length = path.stat().st_size
    with path.open("rb") as file:
        while position + _HEADER_BYTES <= length:
            file.seek(position)
            header = file.read(_HEADER_BYTES)
            size, kind = int.from_bytes(header[:4]), header[4:]
            if size < _HEADER_BYTES or position + size > length:
                break
            if kind == b"moof":
                begun = position
            elif kind == b"mdat" and begun is not None:
                starts.append(begun)
                end, begun = position + size, None
            elif kind not in (b"ftyp", b"moov"):
                break
            position += size
    return starts, end


def _good_end(path: Path, starts: list[int], end: int) -> tuple[int, float] | None:
    """Where the first bad fragment starts, else ``end``; and how many seconds play until there.

    Decodes the last fragments, which may hold anything after a power cut.
    """
    av = load_av()
    doubtful = starts[max(0, len(starts) - _DOUBTFUL_FRAGMENTS)]
    bounds = [*starts, end]
    times: list[tuple[int, float]] = []
    bad = end
    try:
        with av.open(str(path), format="mp4") as clip:
            stream = clip.streams.video[0]
            stream.codec_context.options = {"err_detect": "explode"}  # else it makes do
            for packet in clip.demux(stream):
                if packet.pts is None or packet.pos is None:  # the end
                    continue
                times.append((packet.pos, float(packet.pts * packet.time_base)))
                if packet.pos >= doubtful:
                    try:
                        packet.decode()
                    except av.error.FFmpegError:
                        bad = packet.pos
                        break
    except (av.error.FFmpegError, IndexError):  # no stream
        return None
    cut = max((bound for bound in bounds if bound <= bad), default=0)
    seconds = _span_s([at_s for position, at_s in times if position < cut])
    return None if seconds is None else (cut, seconds)


def played_s(path: Path) -> float | None:
    """How many seconds a clip plays, or None where it does not."""
    av = load_av()
    try:
        with av.open(str(path), format="mp4") as clip:
            return _span_s(
                [
                    float(packet.pts * packet.time_base)
                    for packet in clip.demux(clip.streams.video[0])
                    if packet.pts is not None
                ]
            )
    except (av.error.FFmpegError, IndexError):  # no stream
        return None


def _span_s(times_s: list[float]) -> float | None:
    """From the first frame to the end of the last, which lasts as long as the one before it."""
    if not times_s:
        return None
    last_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 0.0
    return round(times_s[-1] - times_s[0] + last_s, 3)


def _truncate(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)
        os.fsync(file.fileno())


def can_salvage() -> bool:
    """Whether PyAV, which finds out what plays, is installed."""
    try:
        load_av()
    except DependencyMissingError:
        return False
    return True
