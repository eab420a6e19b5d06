"""Settings of the other detectors that the page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pi_detector.config.section import Reload, Section
from pi_detector.util.uri import parse_network_uri


class CameraSettings(Section, frozen=True):
    """Another detector, whose picture and events the page shows beside its own.

    Attributes:
        url: Address of its page, such as `http://192.168.1.21:8080/`.
        token: Its `web.token`; use `${secret:NAME}` rather than the token itself.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    url: str = ""
    token: str = ""


def camera_problems(cameras: Mapping[str, CameraSettings]) -> Iterator[tuple[str, str]]:
    """Yield the names of cameras whose settings make no sense, and why."""
    for name, camera in cameras.items():
        address = parse_network_uri(camera.url)
        if address is None or address.scheme not in {"http", "https"}:
            yield name, "url: not the address of a page; write http://HOST:8080/"
        elif address.userinfo or address.path.strip("/") or address.query or address.fragment:
            yield name, "url: has more than a host and a port; put the secret in token"
        if not name.strip() or "/" in name or not name.isprintable():
            yield name, "the name is empty or has a slash or control characters; choose another one"
