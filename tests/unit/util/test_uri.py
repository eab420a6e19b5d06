"""URIs: taken apart, shown without secrets, and the kinds of sources that they name."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_detector.config.load import load_settings
from pi_detector.config.settings import SourceSettings
from pi_detector.errors import ConfigError, SourceNotFoundError, UnknownSchemeError
from pi_detector.sources.registry import make_source
from pi_detector.util.uri import holds_secret, is_unicode, redact, redact_within, split_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:secret@cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://admin:se@cret@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:se/cret@cam/live", "rtsp://***"),
        ("rtsp://admin:20#cret@cam/live", "rtsp://***"),
        ("rtsp://admin:se?cret@cam/live", "rtsp://***"),
        ("rtsp://admin:se cret@cam/live", "rtsp://***"),
        ("rtsp://admin:secret", "rtsp://***"),
        ("rtsp://admin:secret@[fe80::1]:554/a", "rtsp://[fe80::1]:554/a"),
        ("http://cam/mjpg?channel=1&pwd=secret", "http://cam/mjpg?channel=1&pwd=***"),
        ("http://cam:80/a%402x.jpg?keyframe=1", "http://cam:80/***?***"),
        ("http://cam/mjpg?USER=secret&b=2&&c=3", "http://cam/mjpg?USER=***&***"),
        ("http://cam/mjpg?channel=secret", "http://cam/mjpg?channel=***"),
        ("http://cam/mjpg?secret", "http://cam/mjpg?***"),
        ("http://cam/mjpg#secret", "http://cam/mjpg#***"),
        ("http://cam:8080/live@2", "http://***"),
        ("rtsp://cam/user=admin_password=secret_channel=1", "rtsp://cam/***"),
        ("rtsp://cam/user=a&password=se/cret&channel=1", "rtsp://cam/***"),
        ("rtsp://cam/0/admin:hunter2/main", "rtsp://cam/0/***"),
        ("rtsp://cam/0/admin%3Ahunter2/main", "rtsp://cam/0/***"),
        ("rtsps://cam:7441/5nPr7RCmueGTKMP7?enableSrtp", "rtsps://cam:7441/***?enableSrtp"),
        ("rtsp://cam/h264Preview_01_main", "rtsp://cam/h264Preview_01_main"),
        ("rtsp://cam/Streaming/Channels/101", "rtsp://cam/Streaming/Channels/101"),
        ("http://cam/cgi?resolution=640x480&fps=5", "http://cam/cgi?resolution=640x480&fps=5"),
        ("v4l2:/dev/video0", "v4l2:/dev/video0"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_redact(uri: str, shown: str) -> None:
    assert redact(uri) == shown
    assert redact(shown) == shown


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
)
def test_no_password_survives_redaction(password: str) -> None:
    marked = f"Q{password}Q"
    assert marked not in redact(f"rtsp://user:{marked}@cam.local:554/live")


def test_split_keeps_colons_of_the_rest() -> None:
    by_path = "/dev/v4l/by-path/pci-0000:00:14.0-video-index0"
    assert split_uri(f"V4L2:{by_path}") == ("v4l2", by_path)
    assert split_uri("/tmp/clip.mp4") == ("", "/tmp/clip.mp4")


@pytest.mark.parametrize(
    ("uri", "name", "live"),
    [
        ("v4l2:0", "v4l2:/dev/video0", True),
        ("v4l2:/dev/v4l/by-id/usb-cam-index0", "v4l2:/dev/v4l/by-id/usb-cam-index0", True),
        ("/dev/video7", "v4l2:/dev/video7", True),
        ("picamera:1", "picamera:1", True),
        ("picamera:", "picamera:0", True),
        ("rtsp://u:p@cam/live", "rtsp://cam/live", True),
        ("https://cam/mjpg", "https://cam/mjpg", True),
        ("demo:", "demo", True),
        ("images:/data/val", "images:val", False),
    ],
)
def test_kinds(uri: str, name: str, live: bool) -> None:
    source = make_source(SourceSettings(uri=uri))
    assert source.name == name
    assert source.live is live


@pytest.mark.parametrize(
    ("uri", "suggestion"),
    [
        ("rstp://cam/live", "rtsp://HOST/PATH"),
        ("v4l:/dev/video0", "v4l2:/dev/video0"),
        ("picam:0", "picamera:0"),
        ("atuo", "auto"),
    ],
)
def test_unknown_scheme_names_uri_kinds_and_the_nearest(uri: str, suggestion: str) -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        make_source(SourceSettings(uri=uri))
    message = str(caught.value)
    assert f"'{uri}'" in message
    assert f"did you mean '{suggestion}'" in message
    assert "images:DIR" in message
    assert "\n" not in message


def test_unknown_scheme_hides_the_password() -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        make_source(SourceSettings(uri="rtps://admin:hunter2@cam/live"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["/nowhere/clip.mp4", "clip.mp4", "file:/nowhere/clip.mp4"])
def test_a_path_of_nothing(uri: str) -> None:
    with pytest.raises(SourceNotFoundError, match=r"clip\.mp4"):
        make_source(SourceSettings(uri=uri))


def test_a_name_too_long_for_a_path() -> None:
    with pytest.raises(UnknownSchemeError):
        make_source(SourceSettings(uri="x" * 5000))


@pytest.mark.parametrize("uri", ["picamera:left", "demo:cat", "rtsp://", "rtsp://cam:port/live"])
def test_a_known_kind_with_a_bad_target(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"source\.uri"):
        make_source(SourceSettings(uri=uri))


def test_a_bad_address_hides_the_password() -> None:
    with pytest.raises(ConfigError) as caught:
        make_source(SourceSettings(uri="rtsp://admin:hunter2/x@cam/live"))
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


def test_auto_without_a_camera_says_so_loudly(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pi_detector.sources.auto.find_cameras", list)
    source = make_source(SourceSettings(uri="auto"))
    assert source.name == "demo"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "NO CAMERA FOUND" in caplog.text


def test_file_names_that_are_no_utf8() -> None:
    assert is_unicode("caf\u00e9 \U0001f600")
    assert not is_unicode(b"caf\xe9".decode("utf-8", "surrogateescape"))


def test_a_stream_whose_uri_is_no_utf8() -> None:
    with pytest.raises(ConfigError, match="as %XX"):
        make_source(SourceSettings(uri=b"rtsp://cam/caf\xe9".decode("utf-8", "surrogateescape")))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp:/admin:secret@cam/live", "rtsp:***"),
        ("http:admin:secret@cam/live", "http:***"),
        (" rtsp://admin:secret@cam/live", " rtsp://cam/live"),
        ("rtsp://CORP/admin:secret@cam/live", "rtsp://***"),
        ("rtsp//admin:secret@cam/live", "***"),
        ("//admin:secret@cam/live", "***"),
        ("admin:secret@cam/live", "admin:***"),
        ("cam/live?password=secret", "cam/live?password=***"),
        ("file:rtsp://admin:secret@cam/live", "file:***"),
        ("/data/front:1@2x.mp4", "/data/front:1@2x.mp4"),
        ("file:front@2x.mp4", "file:front@2x.mp4"),
        ("front@2x.mp4", "front@2x.mp4"),
    ],
)
def test_redact_what_is_nearly_a_uri(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize("uri", ["rtsp//admin:hunter2@cam/live", " rtsp://admin:hunter2@cam/live"])
def test_the_path_of_nothing_hides_the_password(uri: str) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        make_source(SourceSettings(uri=uri))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("piece", ["?", "?pass", "pass", ":", "a:", "@", "/", " "])
def test_redact_of_a_long_text_ends(piece: str) -> None:
    """In a time that grows with its length; with its cube, this would take days."""
    assert redact("http://a/?" + piece * 200_000).startswith("http://")


@pytest.mark.parametrize("piece", ["a", "a.", "http:", "a://", "x@"])
def test_redact_within_a_long_text_ends(piece: str) -> None:
    assert redact_within(piece * 200_000)


def test_redact_within_the_error_of_a_library() -> None:
    text = "[http @ 0x5] cannot open 'http://bob:secret@cam/x.ts?k=secret': 404; https://x.org/a."
    shown = "[http @ 0x5] cannot open 'http://cam/x.ts?***': 404; https://x.org/a."
    assert redact_within(text) == shown
    assert redact_within("cannot read rtsp:/admin:secret@cam/live (no such file)") == (
        "cannot read rtsp:*** (no such file)"
    )


@pytest.mark.parametrize(
    ("uri", "holds"),
    [
        ("rtsp://admin:secret@cam/live", True),
        ("rtsp://admin@cam/live", False),
        ("rtsp://admin:@cam/live", False),
        ("rtsp://cam/live?channel=1", False),
        ("http://cam/live?pwd=secret", True),
        ("http://cam/live?pwd=", False),
        ("rtsp://cam/user=admin_password=secret", True),
        ("clip.mp4", False),
    ],
)
def test_whether_a_uri_holds_a_secret(uri: str, holds: bool) -> None:
    assert holds_secret(uri) is holds


@pytest.mark.parametrize(
    "uri", ["rtsp://admin:2024#X@cam/s", "http://cam/live@2", "rtsp://a:b@cam/x?y=@", "rtsp://a b/"]
)
def test_an_at_behind_the_host_is_refused_with_the_fix(uri: str) -> None:
    with pytest.raises(ConfigError, match="as %XX") as error:
        make_source(SourceSettings(uri=uri))
    assert redact_within(str(error.value)) == str(error.value), "log messages say it as it is"
    with pytest.raises(ConfigError, match="as %XX"):
        load_settings(None, {}, [f"source.uri={uri}"])


def test_the_kinds_that_an_error_names_survive_the_log() -> None:
    with pytest.raises(UnknownSchemeError) as error:
        make_source(SourceSettings(uri="gopher://cam"))
    assert redact_within(str(error.value)) == str(error.value)
