"""Recording what a camera sends, as it is: where the settings forbid it."""

from __future__ import annotations

from collections.abc import Iterator

from pi_detector.config.settings import Settings, SourceSettings
from pi_detector.util.uri import network_uri_problem, split_uri

Problem = tuple[tuple[str, ...], str]
_NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})


def is_network(uri: str) -> bool:
    """Whether a URI is a network camera's, or may be: what a secret holds is not known yet."""
    return split_uri(uri)[0] in _NETWORK or uri.startswith("${")


def is_turned(source: SourceSettings) -> bool:
    """Whether frames are other than what the camera sends."""
    return bool(source.rotate or source.hflip or source.vflip or source.crop)


def may_copy(settings: Settings) -> bool:
    """Whether packets may be recorded and shown as the camera sends them."""
    return not settings.privacy and not is_turned(settings.source)


def copy_problems(settings: Settings) -> Iterator[Problem]:
    """Settings that ask for copies that would show what frames do not; each with its path."""
    source, recording = settings.source, settings.recording
    wanted = []
    if source.record_uri:
        wanted.append(("source", "record_uri"))
        if problem := network_uri_problem(source.record_uri, "source.record_uri"):
            yield ("source", "record_uri"), problem
        elif not is_network(source.record_uri):
            yield (
                ("source", "record_uri"),
                "source.record_uri: is not the address of a network camera (rtsp://...); set the "
                "second address of the camera in source.uri",
            )
    if recording.enabled and recording.copy == "on":
        wanted.append(("recording", "copy"))
    for path in wanted:
        if not may_copy(settings):
            what = "the masks of [privacy]" if settings.privacy else "source.rotate, flips and crop"
            yield (
                path,
                f"{'.'.join(path)}: packets are copied as the camera sends them, without {what}; "
                f"remove it, so that clips are encoded, or remove {what}",
            )
