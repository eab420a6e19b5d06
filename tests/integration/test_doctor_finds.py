"""`pi-detector doctor` finds what is set up wrongly, each thing for real, and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from where import CHECKOUT

from pi_detector.cli.main import main
from pi_detector.config import secrets
from pi_detector.sinks.recordings.index import Index

BUNDLE = CHECKOUT / "models" / "street"
Checks = list[dict[str, str]]
Doctor = Callable[..., Checks]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that all users can enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        for variable in [each for each in os.environ if each.startswith("XDG_")]:
            monkeypatch.delenv(variable)
        monkeypatch.setenv("HOME", name)
        monkeypatch.delenv("STATE_DIRECTORY", raising=False)
        monkeypatch.setattr(secrets, "SYSTEM_SECRETS", Path("/nowhere"))
        monkeypatch.chdir(name)
        yield Path(name)


@pytest.fixture
def doctor(home: Path, capfd: pytest.CaptureFixture[str]) -> Doctor:
    """Asks the doctor about settings; what is not ``ok``."""

    def ask(*settings: str, file: str = "", mode: int = 0o600) -> Checks:
        config = home / "settings.toml"
        config.write_text(file)
        config.chmod(mode)
        words = [word for setting in settings for word in ("--set", setting)]
        capfd.readouterr()
        code = main(["doctor", "--json", "--config", str(config), *words])
        answer: dict[str, Any] = json.loads(capfd.readouterr().out)
        checks: Checks = answer["checks"]
        assert answer["healthy"] == all(check["level"] != "fail" for check in checks)
        assert code == (os.EX_OK if answer["healthy"] else os.EX_UNAVAILABLE)
        return [check for check in checks if check["level"] != "ok"]

    return ask


def of(checks: Checks, what: str) -> Checks:
    return [check for check in checks if check["what"] == what]


def must_have(checks: Checks, level: str, what: str, *words: str) -> None:
    """One check has this level and says all this."""
    for check in of(checks, what):
        text = f"{check['finding']} - {check['fix']}"
        if check["level"] == level and all(word in text for word in words):
            return
    pytest.fail(f"no {level} of {what} with {words} in {checks}")


def test_nothing_is_wrong_with_the_defaults(doctor: Doctor) -> None:
    what = {check["what"] for check in doctor()}
    assert what <= {"clock", "cameras", "isolation", "throttling", "CPU governor", "temperature"}


# Settings that are refused. ``{home}`` is the user's folder.
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["web.enabled=true", "web.host=0.0.0.0"], ["web.host", "web.token"]),
        (["source.uri=rtsp://admin:2024#X@host/s"], ["source.uri", "%"]),
        (["recording.enabled=true", "recording.max_gb=0.05"], ["recording.max_gb", "one event"]),
        (["events.zones=['gate']"], ["events.zones", "gate"]),
        (["web.enabled=true", "web.token=in-sight-of-all"], ["web.token", "command line"]),
        (["mqtt.host=localhost", "mqtt.topic=a/#"], ["mqtt.topic"]),
        (["source.adress=demo:"], ["unknown setting"]),
    ],
)
def test_settings_that_are_refused(doctor: Doctor, settings: list[str], words: list[str]) -> None:
    must_have(doctor(*settings), "fail", "settings", *words)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ('[web]\nenabled = true\ntoken = "short"\n', ["web.token", "12 characters"]),
        ('[mqtt]\nhost = "localhost"\npassword = "x"\n', ["mqtt.password", "mqtt.username"]),
        ('[mqtt]\nhost = "localhost"\nca_file = "x"\n', ["mqtt.ca_file", "mqtt.tls"]),
        ("[source\n", [":1: not valid TOML"]),
    ],
)
def test_files_that_are_refused(doctor: Doctor, file: str, words: list[str]) -> None:
    must_have(doctor(file=file), "fail", "settings", *words)


@pytest.mark.parametrize("name", ['""', '"a\\u001b[31m"', '"a\\u0000"'])
def test_names_of_zones(doctor: Doctor, name: str) -> None:
    zone = f"[zones.{name}]\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n"
    must_have(doctor(file=zone), "fail", "settings", "name")


def test_settings_that_others_can_read(doctor: Doctor) -> None:
    file = '[mqtt]\nhost = "127.0.0.1"\nport = 1\nusername = "u"\npassword = "hunter2"\n'
    must_have(doctor(file=file, mode=0o644), "warn", "settings file", "mqtt.password", "chmod")
    camera = '[source]\nuri = "rtsp://bob:secret@127.0.0.1:1/x"\n'
    must_have(doctor(file=camera, mode=0o644), "warn", "settings file", "source.uri", "chmod")


def test_state_and_secrets_that_others_can_read(doctor: Doctor, home: Path) -> None:
    state = home / ".local/state/pi-detector"
    state.mkdir(parents=True)
    (state / "drawn.toml").touch(mode=0o644)
    must_have(doctor(), "warn", "state", "drawn.toml", "chmod")
    kept = home / ".config/pi-detector/credentials"
    kept.mkdir(parents=True)
    (kept / "mqtt").write_text("hunter2\n")
    (kept / "mqtt").chmod(0o644)
    must_have(doctor(), "fail", "secrets", str(kept / "mqtt"), "chmod")


def test_recordings_that_others_can_read(doctor: Doctor, home: Path) -> None:
    folder = home / "recordings"
    with_index(folder)
    (folder / "index.sqlite").chmod(0o644)
    folder.chmod(0o755)
    checks = doctor("recording.enabled=true", f"recording.path={folder}")
    must_have(checks, "warn", "state", "index.sqlite", "chmod")


def test_secrets_that_are_missing(doctor: Doctor) -> None:
    checks = doctor("mqtt.host=127.0.0.1", "mqtt.username=u", "mqtt.password=${secret:broker}")
    must_have(checks, "fail", "secrets of mqtt", "broker")
    must_have(doctor("source.uri=rtsp://u:${secret:cam}@127.0.0.1/"), "fail", "secrets of source")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("nonsense", ["nonsense"]),
        ("gopher://127.0.0.1/", ["gopher"]),
        ("v4l2:/dev/video99", ["/dev/video99"]),
        ("file:{home}/none.mp4", ["none.mp4"]),
        ("images:{home}/none", ["none"]),
        ("images:{home}/empty", ["empty"]),
        ("{home}/text.mp4", ["text.mp4", "ffprobe"]),
        ("rtsp://127.0.0.1:{closed}/x", ["127.0.0.1"]),
        ("http://127.0.0.1:{closed}/x.mjpeg", ["127.0.0.1"]),
        ("http://127.0.0.1:{open}/none", ["404"]),
        ("http://127.0.0.1:{open}/locked", ["401"]),
        ("http://127.0.0.1:{open}/page", ["page"]),
    ],
)
def test_a_source_that_gives_no_frames(
    doctor: Doctor, home: Path, server: int, uri: str, words: list[str]
) -> None:
    (home / "text.mp4").write_text("no video")
    (home / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    source = f"source.uri={uri.format(home=home, closed=closed, open=server)}"
    checks = doctor(source, "source.read_timeout_s=2")
    must_have(checks, "fail", "source", *words)


@pytest.fixture
def server() -> Iterator[int]:
    """A web server that is no camera; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/locked": 401, "/none": 404}.get(self.path, 200))
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd.server_port
        httpd.shutdown()


def test_a_setting_without_effect(doctor: Doctor, home: Path) -> None:
    (home / "pictures").mkdir()
    cv2.imwrite(str(home / "pictures/a.png"), np.full((64, 64, 3), 128, np.uint8))
    checks = doctor(f"source.uri=images:{home}/pictures", "source.fps=5")
    must_have(checks, "fail", "source", "source.fps", "no effect")
    assert not of(doctor(f"source.uri=images:{home}/pictures"), "source")


def test_a_model_that_was_altered(doctor: Doctor, home: Path) -> None:
    shutil.copytree(BUNDLE, home / "street")
    model = next((home / "street").glob("*.tflite"))
    assert not of(doctor(f"model.path={home / 'street'}"), "model")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.chmod(0o600)
    model.write_bytes(data)
    must_have(doctor(f"model.path={home / 'street'}"), "fail", "model", "SHA-256")
    must_have(doctor(f"model.path={home / 'none'}"), "fail", "model", "none")
    (home / "pointer.tflite").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    must_have(doctor(f"model.path={home / 'pointer.tflite'}"), "fail", "model", "LFS")


def test_labels_that_do_not_fit(doctor: Doctor, home: Path) -> None:
    model = next(BUNDLE.glob("*.tflite"))
    (home / "l.txt").write_text("person\nbicycle\ncar\n")
    checks = doctor(f"model.path={model}", f"model.labels={home / 'l.txt'}")
    must_have(checks, "fail", "model")


def test_folders_that_cannot_be_written(doctor: Doctor, home: Path, read_only: Path) -> None:
    (home / "file").touch()
    folders, files = ("output.log", "output.snapshots"), ("output.socket", "output.video")
    for text, level, words in (
        (f"{home}/file/x", "fail", "is a file"),
        (f"{read_only}/x", "fail", "read-only"),
        ("$LOGS_DIRECTORY/x", "warn", "variable of the service"),
        ("$HOMME/x", "fail", "no such environment variable"),
    ):
        checks = doctor(*(f"{name}={text}" for name in folders))
        for name in folders:
            must_have(checks, level, name, words)
        state = ("mqtt.host=127.0.0.1", f"mqtt.queue={text}")
        checks = doctor("recording.enabled=true", f"recording.path={text}", *state)
        named = "recordings" if text.startswith("/") else "recording.path"
        must_have(checks, level, named, words)
        must_have(checks, level, "mqtt.queue", words)
        collect = doctor("collect.enabled=true", f"collect.path={text}")
        must_have(collect, level, "collect.path", words)
        assert of(checks, "mqtt"), "the checks that follow are made all the same"
    recordings = ("recording.enabled=true", f"recording.path={read_only}/recordings")
    metrics = f"metrics.textfile={read_only}/x.prom"
    checks = doctor(*(f"{name}={read_only}/x" for name in files), metrics, *recordings)
    for name in (*files, "metrics.textfile", "recordings"):
        must_have(checks, "fail", name, "read-only")
    checks = doctor(*(f"{name}={home}/x" for name in (*files, *folders)))
    assert not any(of(checks, name) for name in (*files, *folders))


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder of a file system that is mounted read-only: the kernel's own will do."""
    if os.statvfs("/sys").f_flag & os.ST_RDONLY:
        yield Path("/sys")
        return
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def with_index(folder: Path) -> Path:
    folder.mkdir()
    Index(folder, write=True, create=True).close()
    return folder / "index.sqlite"


def test_recordings_that_are_damaged_or_have_no_room(doctor: Doctor, home: Path) -> None:
    index = with_index(home / "recordings")
    recording = ("recording.enabled=true", f"recording.path={home / 'recordings'}")
    assert not of(doctor(*recording), "recordings")
    index.write_bytes(b"garbage" * 1000)
    must_have(doctor(*recording), "warn", "recordings", "damaged")
    index.unlink()
    must_have(
        doctor(*recording, "recording.min_free_mb=10000000"), "fail", "recordings", "min_free_mb"
    )
    must_have(doctor(*recording, "recording.max_gb=100000"), "warn", "recordings", "max_gb")


def test_a_page_that_the_network_reads(doctor: Doctor) -> None:
    web = ("web.enabled=true", "web.host=0.0.0.0")
    checks = doctor(*web, file='[web]\ntoken = "aaaaaaaaaaaaaaaaaaaaaaaa"\n')
    must_have(checks, "warn", "page", "without encryption")
    must_have(checks, "warn", "page token", "openssl rand")


def test_packages_of_other_versions(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    true = metadata.version
    versions = {"starlette": "1.0.0", "opencv-python-headless": "4.11.0.86"}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or true(name))
    checks = doctor()
    must_have(checks, "warn", "starlette", "1.0.0", "pip install 'starlette")
    must_have(checks, "warn", "opencv-python-headless", "4.11.0.86", "<4.11")
