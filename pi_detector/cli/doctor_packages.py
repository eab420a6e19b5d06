"""Checks of the versions of packages: those that pi-detector was installed beside, or later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

from pi_detector.cli.findings import Finding, warn

# Extras that are for a host, or that an error of their own speaks about.
_JUDGED = ("", "clips", "web", "picamera", "systemd")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*?)\s*(?:;\s*(.*))?")
_LIMIT = re.compile(r"(>=|<=|==|<|>)\s*([0-9][0-9.]*)")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def package_findings() -> Iterator[Finding]:
    """Installed packages of versions that pi-detector was not made for."""
    try:
        required = metadata.requires("pi-detector") or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return
    yield from unfit(required, _installed)


def unfit(required: Iterable[str], installed: Callable[[str], str | None]) -> Iterator[Finding]:
    """Packages that do not meet the requirements.

    Args:
        required: as the metadata of a package have them: ``starlette<2,>=1.8; extra == "web"``.
        installed: the version of a package; None where it is not installed, which others judge.
    """
    for text in required:
        found = _REQUIREMENT.fullmatch(text.strip())
        if found is None:
            continue
        package, limits, marker = found[1], found[2], found[3] or ""
        extra = _EXTRA.search(marker)
        version = installed(package) if (extra[1] if extra else "") in _JUDGED else None
        if version is not None and not _meets(version, limits):
            wanted = limits.replace(" ", "")
            yield warn(
                package,
                f"{version} is installed, pi-detector needs {wanted}",
                f"pip install '{package}{wanted}'",
            )


def _meets(version: str, limits: str) -> bool:
    holds: dict[str, Callable[[list[int], list[int]], bool]] = {
        ">=": lambda a, b: a >= b,
        "<=": lambda a, b: a <= b,
        "==": lambda a, b: a == b,
        "<": lambda a, b: a < b,
        ">": lambda a, b: a > b,
    }
    return all(
        holds[sign](*_same_length(_numbers(version), _numbers(limit)))
        for sign, limit in _LIMIT.findall(limits)
    )


def _same_length(one: list[int], other: list[int]) -> tuple[list[int], list[int]]:
    length = max(len(one), len(other))
    return one + [0] * (length - len(one)), other + [0] * (length - len(other))


def _numbers(version: str) -> list[int]:
    """The release of a version: those of before and after it count as the release itself."""
    release = re.match(r"[0-9.]*", version)
    return [int(part) for part in (release[0] if release else "").split(".") if part]


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
