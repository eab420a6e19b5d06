"""What must hold for any settings, manifest, labels or URI.

Each target takes arbitrary bytes and raises where something else comes out than a value or one of
pi-detector's own errors. Driven by hypothesis in ``test_fuzz_texts.py``, and by atheris in
``guided.py``.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from pi_detector.config.load import load_settings
from pi_detector.config.settings import SourceSettings
from pi_detector.config.text import commented_example, settings_toml
from pi_detector.detector.anchors import make_anchors
from pi_detector.detector.bundle import load_bare, load_bundle
from pi_detector.errors import ConfigError, PiDetectorError
from pi_detector.sources.registry import make_source
from pi_detector.util.uri import redact, split_uri

CHECKOUT = Path(__file__).resolve().parents[2]
STREET = CHECKOUT / "models/street"
MODEL = b"\x08\x00\x00\x00TFL3" + bytes(64)
SECRET = "hunter2"

_SHM = Path("/dev/shm")
_FOLDER = tempfile.TemporaryDirectory("", "pi-detector-fuzz-", _SHM if _SHM.is_dir() else None)
_MANY_ANCHORS = 1_000_000
_SETTINGS = """\
[source]
uri = "v4l2:/dev/video0"
width = 1280
fps = 12.5
[detection]
min_scores = { person = 0.4, "traffic light" = 1 }
labels = ["person", 'bicycle']
"""


def fuzz_settings(data: bytes) -> None:
    """A settings file is read, or is one ConfigError that names it."""
    file = Path(_FOLDER.name, "settings.toml")
    file.write_bytes(data)
    try:
        settings = load_settings(file, {}, [])
    except ConfigError as error:
        _check_message(str(error), str(file))
        return
    # What was read can be written, and read again.
    file.write_text(settings_toml(settings), "utf-8")
    load_settings(file, {}, [])


def fuzz_overrides(data: bytes) -> None:
    """``--set`` and environment variables: the same."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    environ = {f"PI_DETECTOR__{line.partition('=')[0]}": line for line in lines[1::2]}
    try:
        load_settings(None, environ | {"HOME": "/nowhere"}, lines[::2])
    except ConfigError as error:
        _check_message(str(error), "")


def fuzz_manifest(data: bytes) -> None:
    """A bundle with this manifest is loaded, or is one error."""
    folder = Path(_FOLDER.name, "bundle")
    folder.mkdir(exist_ok=True)
    (folder / "model.tflite").write_bytes(MODEL)
    (folder / "labels.txt").write_bytes((STREET / "labels.txt").read_bytes())
    (folder / "manifest.toml").write_bytes(data)
    try:
        bundle = load_bundle(folder)
    except PiDetectorError as error:
        _check_message(str(error), str(folder))
        return
    assert bundle.manifest is not None
    np.asarray([label.id for label in bundle.labels], np.int64)
    assert all(0 <= score <= 1 for score in bundle.default_scores().values())
    spec = bundle.manifest.anchor_spec()
    if spec is not None and len(spec) < _MANY_ANCHORS:
        assert make_anchors(spec).shape == (len(spec), 4)
    msgspec.json.encode(bundle.manifest)


def fuzz_labels(data: bytes) -> None:
    """Labels are read, or are one error."""
    folder = Path(_FOLDER.name)
    (folder / "bare.tflite").write_bytes(MODEL)
    labels = folder / "labels.txt"
    labels.write_bytes(data)
    try:
        bundle = load_bare(folder / "bare.tflite", labels)
    except PiDetectorError as error:
        _check_message(str(error), str(folder))
        return
    assert all(label.name == label.name.strip() != "" for label in bundle.labels)


def fuzz_uri(data: bytes) -> None:
    """A password between user and host is never shown, however the URI is maimed."""
    text = data.decode("utf-8", "surrogateescape")
    before, _, after = text.partition("\0")
    for scheme in ("rtsp://", "rtsps://", "http://", "https://", "RTSP:/", "http:", " rtsp://"):
        uri = f"{scheme}{before}:{SECRET}@{after}"
        if SECRET in before or SECRET in after:
            return
        _check_hidden(uri)
    kind, rest = split_uri(text)
    assert not kind or f"{kind}:{rest}".lower() == text.lower()


def _check_hidden(uri: str) -> None:
    assert SECRET not in redact(uri), uri
    try:
        name = make_source(SourceSettings(uri=uri)).name
    except PiDetectorError as error:
        name = str(error)
    assert SECRET not in name, (uri, name)


def _check_message(message: str, names: str) -> None:
    """Each problem is one line that names its place."""
    lines = message.split("\n")
    assert all(names in line or line.startswith("and ") for line in lines), message
    assert len(lines) <= 11
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", message.replace("\t", " ")), message


TARGETS: dict[str, Callable[[bytes], None]] = {
    "settings": fuzz_settings,
    "overrides": fuzz_overrides,
    "manifest": fuzz_manifest,
    "labels": fuzz_labels,
    "uri": fuzz_uri,
}


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with, short ones first."""
    manifest = (STREET / "manifest.toml").read_text("utf-8")
    manifest = re.sub(
        r"(?m)^sha256 = .*", f'sha256 = "{hashlib.sha256(MODEL).hexdigest()}"', manifest
    )
    needed = re.sub(r"(?ms)^\[(training|figures).*", "", manifest)
    example = re.sub(r"(?m)^#(\w+ = )", r"\1", commented_example())
    return {
        "settings": [_SETTINGS.encode(), b"[log]\nlevel = 'info'", example.encode()],
        "overrides": [
            b'source.fps=10\nSOURCE__URI=demo:\ndetection.labels=["person"]\nLOG__LEVEL=x'
        ],
        "manifest": [needed.encode(), manifest.encode()],
        "labels": [(STREET / "labels.txt").read_bytes(), b"???\nperson\ncar\n"],
        "uri": [b"admin\0cam.local:554/live?token=abc", b"a/b@c\0[fe80::1]/x#y", b"u\0host"],
    }[target]
