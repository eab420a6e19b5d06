"""Checks of the software: Python, packages, runtime, settings, model and cameras."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector import __version__
from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.core.clock import utc_now
from pi_detector.errors import PiDetectorError, RuntimeMissingError
from pi_detector.util.installation import how_to_install, import_compiled

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.sources.discover import CameraInfo

# Package of each module.
_PACKAGES = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "msgspec": "msgspec",
    "imutils": "imutils",
}


def versions() -> Iterator[Finding]:
    """Report Python, pi-detector, and the required packages."""
    yield ok("Python", platform.python_version())
    yield ok("pi-detector", __version__)
    for module, package in _PACKAGES.items():
        try:
            version = str(import_compiled(module).__version__)
        except ImportError as error:
            yield fail(package, f"not usable: {error}", how_to_install())
        else:
            yield ok(package, version)
    yield from _video()


def _video() -> Iterator[Finding]:
    """Report what decodes videos, and its known faults."""
    from pi_detector.sources.decoder import opencv_faults
    from pi_detector.sources.video_decoders import has_pyav

    try:
        faults = opencv_faults()
    except ImportError:  # reported as a finding already
        return
    pyav = has_pyav()
    yield ok("video files", f"decoded by {'PyAV' if pyav else 'OpenCV'}")
    if faults:
        kinds = "streams" if pyav else "streams and video files"
        fix = "pip install 'opencv-python-headless>=4.8,<4.11'"
        yield warn("opencv", f"of {kinds} {faults}", fix)


def runtimes() -> Iterator[Finding]:
    """Check the model runtimes: which work, and which are installed but broken."""
    from pi_detector.detector.runtime import available_runtimes, choose_runtime, load_runtime

    found = available_runtimes()
    if not found:
        try:
            choose_runtime("auto")
        except RuntimeMissingError as error:
            yield Finding(Level.FAIL, "runtime", str(error))
    for name, version in found.items():
        try:
            load_runtime(name)
        except RuntimeMissingError as error:  # fails only with settings that choose it
            yield Finding(Level.WARN, "runtime", str(error))
        else:
            yield ok("runtime", f"{name} {version}")


def model(settings: Settings) -> Finding:
    """Check that the model is intact, loads, and runs on a grey frame."""
    import numpy as np

    from pi_detector.core.frame import Frame
    from pi_detector.detector.bundle import load_model
    from pi_detector.pipeline.build import make_detector

    grey = np.full((settings.source.height, settings.source.width, 3), 128, np.uint8)
    frame = Frame(grey, 0, time.monotonic_ns(), utc_now(), "doctor")
    try:
        detector = make_detector(settings, load_model(settings.model), tracked=False)
        detector.run(detector.prepare(frame))  # the first one allocates
        prepared = detector.prepare(frame)
        _, invoke_ms, _ = detector.run(prepared)
    except PiDetectorError as error:
        return Finding(Level.FAIL, "model", str(error))
    height, width = detector.input_size
    return ok(
        "model",
        f"{detector.name}, {width}x{height}, {len(detector.labels)} classes, one frame "
        f"takes {invoke_ms:.1f} ms ({detector.runtime}, {detector.threads} threads)",
    )


def cameras(found: list[CameraInfo]) -> Iterator[Finding]:
    """List the cameras, and check whether this user may open them."""
    if not found:
        yield warn(
            "cameras",
            "none found",
            "connect one, or use --source demo:, a file or a stream",
        )
    for camera in found:
        what = f"camera {camera.uri}"
        if camera.permitted:
            name = f"; permanent name: {camera.permanent_uri}" if camera.permanent_uri else ""
            moved = ", while it stays at this connector" if camera.has_twin and name else ""
            yield ok(what, f"{camera.description}{name}{moved}")
        else:
            fix = "sudo usermod -aG video $USER, then log in again"
            yield fail(what, f"{camera.description}: no permission", fix)


def picamera2(pi_model: str | None) -> Finding:
    """Check whether cameras at the camera connector can be used.

    Args:
        pi_model: the model of the Raspberry Pi, or None on other devices, which do not need
            picamera2.
    """
    try:
        import_compiled("picamera2")
    except ImportError as error:
        if pi_model is None:
            return ok("picamera2", "not installed; only a Raspberry Pi's camera connector needs it")
        return warn("picamera2", f"not usable: {error}", how_to_install("picamera"))
    return ok("picamera2", _version_of("picamera2"))


def _version_of(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "installed"


def settings_file(path: str | Path | None) -> Finding:
    """Report the settings, which loaded without an error.

    Args:
        path: the settings file, or None if there is none.
    """
    return ok("settings", f"{path} valid" if path else "no file, the defaults apply")
