"""Checks of the source that the settings name: it is opened, and a frame is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pi_detector.cli.doctor_private import revealed
from pi_detector.cli.findings import Finding, Level, fail, ok
from pi_detector.errors import (
    PiDetectorError,
    SourceBusyError,
)

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.sources.base import Source

_WHAT = "source"


def source_findings(
    settings: Settings, environ: Mapping[str, str], *, cameras: bool
) -> Iterator[Finding]:
    """Whether the source gives frames, and what of its settings has no effect.

    Args:
        settings: secrets may stand for themselves.
        environ: environment variables.
        cameras: there are some; without, ``auto`` finds none, which is a finding already.
    """
    from pi_detector.sources.registry import check_source, make_source

    if settings.source.uri.lower().partition(":")[0] == "auto" and not cameras:
        return
    known, findings = revealed(settings, environ, "source")
    yield from findings
    if known is None:
        return
    wanted = known.source
    try:
        yield from (
            Finding(Level.WARN, _WHAT, note)
            for note in check_source(wanted)
            if not note.startswith("source.uri")  # opening it says so again
        )
        yield opened(make_source(wanted))
    except PiDetectorError as error:
        yield Finding(Level.FAIL, _WHAT, str(error))


def opened(source: Source) -> Finding:
    """Whether a source can be opened and gives a frame."""
    try:
        source.open()
        frame = source.read()
    except SourceBusyError as error:  # by the service, most likely
        return Finding(Level.WARN, _WHAT, str(error))
    except PiDetectorError as error:
        return Finding(Level.FAIL, _WHAT, str(error))
    finally:
        with suppress(PiDetectorError):
            source.close()
    if frame is None:
        return fail(_WHAT, f"{source.name}: delivers no frame", "check source.uri")
    height, width = frame.image.shape[:2]
    return ok(_WHAT, f"{source.name}: a frame of {width}x{height}")
