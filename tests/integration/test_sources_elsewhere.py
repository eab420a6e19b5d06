"""What FFmpeg is kept from: playlists, redirects, other files; and where its lines go."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from foreign_servers import PASSWORD, USER, camera, rtsp, write_transport_stream
from isolated_sources import isolated_source, opened, write_video

from pi_detector.errors import BadImageError, SourceNotFoundError

LOGIN = f"{USER}:{PASSWORD}@127.0.0.1"
WANTS_PASSWORD = b'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"'


def redirect(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    return 302, {"Location": f"http://127.0.0.1:{port}{path}"}, b""


def playlist(*addresses: str) -> tuple[int, dict[str, str], bytes]:
    entries = "".join(f"#EXTINF:2,\n{address}\n" for address in addresses)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{entries}#EXT-X-ENDLIST\n"
    return 200, {"Content-Type": "application/vnd.apple.mpegurl"}, text.encode()


def test_an_http_redirect_elsewhere_is_refused() -> None:
    with camera({}) as other, camera({"/moved": redirect(other.port, "/live")}) as first:
        source = isolated_source(f"http://{LOGIN}:{first.port}/moved")
        with pytest.raises(SourceNotFoundError, match=rf"redirects to .*{other.port}"):
            source.open()
        assert first.requests
        assert other.requests == []


def test_an_http_redirect_within_the_server_is_followed() -> None:
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
    with camera(answers) as server:
        answers["/moved"] = redirect(server.port, "/live")
        with opened(isolated_source(f"http://127.0.0.1:{server.port}/moved")) as source:
            assert source.read() is not None


def test_an_http_redirect_elsewhere_is_followed_where_that_is_wanted() -> None:
    with camera({}) as other, camera({"/moved": redirect(other.port, "/live")}) as first:
        uri = f"http://127.0.0.1:{first.port}/moved"
        with opened(isolated_source(uri, playlists=True)) as source:
            assert source.read() is not None
        assert other.requests


def test_an_rtsp_redirect_elsewhere_is_not_given_the_password() -> None:
    with rtsp(WANTS_PASSWORD) as other:
        location = b"Location: rtsp://127.0.0.1:%d/live" % other.port
        with rtsp(b"RTSP/1.0 302 Moved\r\n" + location) as first:
            source = isolated_source(f"rtsp://{LOGIN}:{first.port}/live", read_timeout_s=3)
            words = f"redirects to 127.0.0.1 port {other.port}"
            with pytest.raises(SourceNotFoundError, match=words):
                source.open()
            assert b"DESCRIBE" in first.received
            assert other.connections == 0


def test_a_playlist_of_a_stream_is_refused(tmp_path: Path) -> None:
    with camera({}) as other:
        answers = {"/x.m3u8": playlist(f"http://127.0.0.1:{other.port}/page")}
        with camera(answers) as first:
            source = isolated_source(f"http://127.0.0.1:{first.port}/x.m3u8")
            with pytest.raises(SourceNotFoundError, match=r"playlist \(hls\).*source\.playlists"):
                source.open()
        assert other.requests == []


def test_a_playlist_of_a_stream_is_read_where_that_is_wanted(tmp_path: Path) -> None:
    write_transport_stream(tmp_path / "a.ts")
    answers = {
        "/x.m3u8": playlist("a.ts"),
        "/a.ts": (200, {"Content-Type": "video/mp2t"}, (tmp_path / "a.ts").read_bytes()),
    }
    with camera(answers) as server:
        uri = f"http://127.0.0.1:{server.port}/x.m3u8"
        with opened(isolated_source(uri, playlists=True)) as source:
            assert source.read() is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"),
        ("a.txt", "ffconcat version 1.0\nfile '{}'\n"),
        ("a.mkv", "ffconcat version 1.0\nfile '{}'\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"),
    ],
)
@pytest.mark.parametrize("isolation", ["auto", "off"])
def test_a_local_file_does_not_open_others(
    tmp_path: Path, name: str, text: str, isolation: str
) -> None:
    from pi_detector.config.settings import SourceSettings
    from pi_detector.sources.registry import make_source

    other = write_video(tmp_path / "other.avi")
    path = tmp_path / name
    path.write_text(text.format(other))
    source = make_source(SourceSettings(uri=str(path), isolation=isolation))  # type: ignore[arg-type]
    with pytest.raises(BadImageError) as caught:
        source.open()
    if isolation == "auto" and name != "a.mp4":  # which new versions do not take for a playlist
        assert "a playlist (" in str(caught.value)


def test_the_decoders_lines_go_to_the_log_without_secrets(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A segment that is not there has FFmpeg print its address, with the password."""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
    with camera(answers) as server:
        answers["/x.m3u8"] = playlist(f"http://{LOGIN}:{server.port}/none.ts")
        source = isolated_source(f"http://{LOGIN}:{server.port}/x.m3u8", playlists=True)
        with caplog.at_level(logging.DEBUG), pytest.raises(SourceNotFoundError) as caught:
            source.open()
    assert "none.ts" in caplog.text
    written = capfd.readouterr()
    for text in (caplog.text, str(caught.value), written.out, written.err):
        assert PASSWORD not in text
    assert written.err == ""


def test_the_reason_of_a_server_is_in_the_error() -> None:
    with camera({}) as server:
        source = isolated_source(f"http://127.0.0.1:{server.port}/none")
        with pytest.raises(SourceNotFoundError, match="404"):
            source.open()
