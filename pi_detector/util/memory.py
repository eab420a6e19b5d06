"""The available memory, and the largest image that fits in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pi_detector.errors import BadImageError

# All copies of an image that exist at once, in both processes: what the decoder keeps (coefficients
# of a progressive JPEG, frames that a video refers to), BGR, RGB, turned, shared, handed over.
_BYTES_PER_PIXEL = 24
# Whatever the memory: what cameras and films have (2560x1600), lest a busy moment stops them.
_LEAST_PIXELS = 4 * 1024 * 1024
# As wide and high as settings allow of a camera.
_MOST_PIXELS = 8192 * 8192
_MEMINFO_UNIT = 1024


def largest_image(root: Path = Path("/")) -> int:
    """Pixels of the largest image that this device should decode now.

    Args:
        root: the folder that stands for ``/``.
    """
    if _Fixed.largest is not None:
        return _Fixed.largest
    available = available_memory(root)
    if available is None:
        return _LEAST_PIXELS
    return min(max(_LEAST_PIXELS, available // _BYTES_PER_PIXEL), _MOST_PIXELS)


class _Fixed:
    largest: int | None = None


def fix_largest_image(pixels: int) -> None:
    """Have ``largest_image`` give this from now on: what the parent of this process goes by."""
    _Fixed.largest = pixels


def check_size(width: int, height: int) -> None:
    """Check an image of which only the size is known yet.

    Raises:
        BadImageError: it is too large; the message is the reason alone.
    """
    largest = largest_image()
    if width * height > largest:
        raise BadImageError(
            f"{width}x{height} pixels exceed the {largest / 1e6:.3g} megapixels that the memory of "
            "this device allows"
        )


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping, of the machine's and of its control groups' memory.

    Source: proc_meminfo(5), and the kernel's documentation of cgroup-v2 and cgroup-v1 ("memory").

    Returns:
        None if the kernel does not report it.
    """
    found = list(_left_in_groups(root))
    meminfo = _table(root / "proc/meminfo")
    if "MemAvailable" in meminfo:
        found.append(meminfo["MemAvailable"] * _MEMINFO_UNIT)
    return max(0, min(found)) if found else None


def _left_in_groups(root: Path) -> Iterator[int]:
    """What is left of each limit that holds for this process."""
    try:
        lines = (root / "proc/self/cgroup").read_text("ascii").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits, usage = ["memory.max", "memory.high"], "memory.current"
            base = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            limits, usage = ["memory.limit_in_bytes"], "memory.usage_in_bytes"
            base = root / "sys/fs/cgroup/memory"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            yield from _left_in(folder, limits, usage)
            if folder == base:
                break


def _left_in(folder: Path, limits: list[str], usage: str) -> Iterator[int]:
    used = _number(folder / usage)
    if used is None:
        return
    # Pages of files count as used, and are given up when memory is short.
    stat = _table(folder / "memory.stat")
    used -= stat.get("inactive_file", 0) + stat.get("active_file", 0)
    for name in limits:
        limit = _number(folder / name)
        if limit is not None:
            yield limit - used


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        rows = [line.split() for line in path.read_text("ascii").splitlines()]
    except (OSError, ValueError):
        return {}
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
