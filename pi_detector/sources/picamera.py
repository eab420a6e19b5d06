"""Raspberry Pi cameras, by picamera2.

``main`` delivers the image; ``lores`` delivers the same capture at the model's size, scaled by the
camera's ISP at no cost to the processor. Both have the same field of view: ``lores`` is the whole
of ``main``, stretched.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import (
    ConfigError,
    DependencyMissingError,
    SourceBusyError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
    SourceStuckError,
)
from pi_detector.sources.base import Controls, SelfPaced
from pi_detector.sources.controls import Control
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.sources.orientation import UNTURNED
from pi_detector.sources.picamera_controls import checked_controls, default_controls, list_controls
from pi_detector.sources.picamera_formats import check_format, to_rgb
from pi_detector.sources.picamera_setup import asked_of_sensor, load_tuning, turn_of
from pi_detector.util.installation import how_to_install

log = logging.getLogger(__name__)

T = TypeVar("T")

_OPEN_TIMEOUT_S = 15.0
_BUFFERS = 4
# In libcamera's names "BGR888" is R, G, B in memory. On a Pi 4 and older the small stream can only
# be YUV420, and some cameras have no second stream at all.
_MAIN_FORMAT = "BGR888"
_LORES_FORMATS = ("BGR888", "YUV420")


@dataclass(frozen=True, slots=True)
class PicameraInfo:
    """A camera of libcamera's list.

    Attributes:
        model: of the sensor, such as ``imx708``, or name of a webcam.
        usb: it is a USB webcam.
    """

    model: str
    usb: bool


def list_cameras() -> list[PicameraInfo]:
    """The cameras that libcamera sees, in the order of their numbers.

    Raises:
        DependencyMissingError: picamera2 is not installed.
    """
    return [
        PicameraInfo(str(info.get("Model", "camera")), "usb" in str(info.get("Id", "")).lower())
        for info in _picamera2().global_camera_info()
    ]


def ask_camera(index: int) -> tuple[list[Control], list[tuple[int, int, int]]]:
    """The controls of a camera, and its sensor's modes: width, height, bits.

    Raises:
        DependencyMissingError: picamera2 is not installed.
        SourceStuckError: libcamera does not answer.
        RuntimeError: another program uses it, or it does not start.
    """
    picamera2 = _picamera2()

    def ask() -> tuple[list[Control], list[tuple[int, int, int]]]:
        camera = _made(picamera2, index)
        try:
            modes = [(*mode["size"], mode["bit_depth"]) for mode in camera.sensor_modes]
            return list_controls(camera), modes
        finally:
            camera.close()

    return _within(_OPEN_TIMEOUT_S, f"picamera:{index}: opening it", ask)


class PicameraSource(SelfPaced):
    """A camera opened by picamera2, every call under a deadline.

    After an unplug libcamera may answer neither a capture nor a stop. A read that runs into its
    deadline raises, and so does a close; a camera that could not be closed stays held until the
    process ends.

    Args:
        target: number of the camera; empty for 0.
        settings: width, height, fps, controls, sensor_mode, tuning_file, rotate, hflip, vflip,
            read_timeout_s.

    Attributes:
        turned: what libcamera mirrors, see ``TurnsItself``.
    """

    live = True

    def __init__(self, target: str, settings: SourceSettings) -> None:
        if target and not target.isdigit():
            raise ConfigError(
                f"source.uri: picamera:{target} has no camera number; use one such as picamera:0"
            )
        super().__init__()
        self._index = int(target or 0)
        self._settings = settings
        self.name = f"picamera:{self._index}"
        self._frames = FrameMaker(self.name)
        self.turned = UNTURNED
        self._camera: Any = None
        self._granted: dict[str, Any] = {}
        self._pending: Any = None

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Start the camera.

        Args:
            model_size: (height, width) of the model's input, asked of the ISP.

        Raises:
            DependencyMissingError: picamera2 is not installed.
            SourceNotFoundError: there is no camera of this number, or it does not start.
            SourceBusyError: another program uses it.
            SourcePermissionError: this user may not open its buffers.
            SourceStuckError: libcamera does not answer; only a restart of the process helps.
            ConfigError: it does not have a control, the sensor mode or the tuning file.
        """
        self.close()
        _picamera2()  # its import may take longer than the camera
        try:
            _within(_OPEN_TIMEOUT_S, f"{self.name}: opening it", lambda: self._start(model_size))
        except RuntimeError as error:
            self._close_after_failure()
            raise self._explained(error) from error
        except (SourceNotFoundError, ConfigError):
            self._close_after_failure()
            raise

    def read(self) -> Frame:
        """The next frame, with ``model_input`` where the camera scales.

        Raises:
            SourceStalledError: the camera delivered nothing within ``read_timeout_s``.
            SourceLostError: it is gone, or what it delivered cannot be decoded.
        """
        if self._camera is None:
            raise SourceLostError(f"{self.name}: not open; open it first")
        request, moment, skipped = self._next_request(), Moment.now(), 0
        while not self._pace.take(moment.monotonic_ns):
            self._release(request)
            request, moment, skipped = self._next_request(), Moment.now(), skipped + 1
        try:
            main = request.make_array("main")
            lores = request.make_array("lores") if self._granted.get("lores") else None
        except OSError as error:
            raise SourceLostError(
                f"{self.name}: the camera sent a damaged image ({error}); check its cable"
            ) from error
        finally:
            self._release(request)
        image = to_rgb(main, self._granted["main"])
        model_input = self._model_input(lores)
        return self._frames.from_rgb(image, moment, model_input, skipped=skipped)

    def _release(self, request: Any) -> None:
        """Give a request back, which libcamera refuses to take of a camera that is gone."""
        try:
            request.release()
        except RuntimeError as error:
            raise SourceLostError(
                f"{self.name}: the camera is gone ({error}); check its cable"
            ) from error

    def adjust(self, controls: Controls) -> bool:
        """Set controls, see ``Adjustable``: they hold from one of the next frames on."""
        camera = self._camera
        if camera is not None:
            gone = self._settings.controls.keys() - controls.keys()
            wanted = checked_controls(camera, controls, self.name)
            _within(
                self._settings.read_timeout_s,
                f"{self.name}: setting controls",
                lambda: camera.set_controls(default_controls(camera, gone) | wanted),
            )
        self._settings = msgspec.structs.replace(self._settings, controls=dict(controls))
        return True

    def close(self) -> None:
        """Stop the camera and give it back.

        Raises:
            SourceStuckError: libcamera did not let go of it within ``read_timeout_s``; only a
                restart of the process helps.
            SourceLostError: it says that something went wrong.
        """
        camera, self._camera, self._pending = self._camera, None, None
        if camera is None:
            return
        try:
            _within(self._settings.read_timeout_s, f"{self.name}: closing it", camera.close)
        except RuntimeError as error:
            raise SourceLostError(
                f"{self.name}: not closed cleanly ({error}); restart pi-detector"
            ) from error

    def _start(self, model_size: tuple[int, int] | None) -> None:
        cameras = list_cameras()
        if self._index >= len(cameras):
            raise SourceNotFoundError(
                f"{self.name}: libcamera sees {len(cameras)} cameras; check the ribbon cable, and "
                "'rpicam-hello --list-cameras'"
            )
        camera = self._camera = _made(
            _picamera2(), self._index, load_tuning(_picamera2(), self._settings.tuning_file)
        )
        self._configure(camera, model_size)
        self._granted = camera.camera_configuration()
        self.turned = turn_of(self._granted.get("transform"))
        for stream in ("main", "lores"):
            if self._granted.get(stream):
                check_format(self.name, stream, self._granted[stream])
        camera.start()
        log.info(
            "%s: main %s %s, lores %s",
            self.name,
            self._granted["main"]["size"],
            self._granted["main"]["format"],
            (self._granted.get("lores") or {}).get("format", "none"),
        )

    def _configure(self, camera: Any, model_size: tuple[int, int] | None) -> None:
        """Ask for the best pair of streams that the camera grants."""
        settings = self._settings
        main = {"size": (settings.width, settings.height), "format": _MAIN_FORMAT}
        controls: dict[str, Any] = {}
        if settings.fps and "FrameDurationLimits" in camera.camera_controls:
            frame_us = round(1_000_000 / settings.fps)
            controls["FrameDurationLimits"] = (frame_us, frame_us)
        controls |= checked_controls(camera, settings.controls, self.name)
        # A frame that waits in picamera2's queue would be older than its stamp.
        options = {"buffer_count": _BUFFERS, "queue": False, "controls": controls}
        options |= asked_of_sensor(settings)
        for lores_format in _LORES_FORMATS if self._scales_to(model_size) else ():
            assert model_size is not None
            lores = {"size": _even(model_size[1], model_size[0]), "format": lores_format}
            try:
                camera.configure(
                    camera.create_video_configuration(main=main, lores=lores, **options)
                )
            except (RuntimeError, AttributeError) as error:
                # picamera2 uses libcamera's "no such configuration", None, as if it were one.
                log.debug("%s: no lores stream in %s: %s", self.name, lores_format, error)
            else:
                return
        camera.configure(camera.create_video_configuration(main=main, **options))

    def _scales_to(self, model_size: tuple[int, int] | None) -> bool:
        """``lores`` may not be larger than ``main``."""
        if model_size is None:
            return False
        return model_size[1] <= self._settings.width and model_size[0] <= self._settings.height

    def _next_request(self) -> Any:
        """Wait for a completed request, at most ``read_timeout_s``.

        A job that ran into its deadline stays with picamera2, which would fulfil it later with a
        request that nobody releases: it is kept, and the next read takes it up.
        """
        job = self._pending or self._camera.capture_request(wait=False)
        self._pending = job
        try:
            request = job.get_result(timeout=self._settings.read_timeout_s)
        except TimeoutError as error:
            raise SourceStalledError(
                f"{self.name}: no frame for {self._settings.read_timeout_s:g} s; check the ribbon "
                "cable, and 'rpicam-hello'"
            ) from error
        self._pending = None
        return request

    def _model_input(self, lores: ImageArray | None) -> ImageArray | None:
        return None if lores is None else to_rgb(lores, self._granted["lores"])

    def _close_after_failure(self) -> None:
        try:
            self.close()
        except (SourceLostError, SourceStuckError) as error:
            log.warning("%s", error)

    def _explained(self, error: RuntimeError) -> Exception:
        chain: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            chain.append(str(cause))
            cause = cause.__cause__
        if any("dmaheap" in text.lower() for text in chain):
            return SourcePermissionError(
                f"{self.name}: no permission to open /dev/dma_heap; add the user to the group "
                "'video': sudo usermod -aG video $USER, then log in again"
            )
        if any("busy" in text.lower() for text in chain):
            return SourceBusyError(
                f"{self.name}: in use by another program; find it with 'fuser -v /dev/media*' "
                "and stop it"
            )
        return SourceNotFoundError(
            f"{self.name}: does not start ({chain[-1]}); check the ribbon cable, and "
            "'rpicam-hello --list-cameras'"
        )


def _picamera2() -> Any:
    """The class Picamera2, imported when it is needed."""
    try:
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:
        # ValueError is what a module compiled for another numpy raises.
        raise DependencyMissingError(
            f"picamera2: cannot be imported ({error}); install it: {how_to_install('picamera')}"
        ) from error
    return Picamera2


def _made(picamera2: Any, index: int, tuning: Any = None) -> Any:
    """An instance of Picamera2, whose constructor must not leave the camera acquired if it fails.

    Else every further try in this process would find it in use.
    """
    camera = picamera2.__new__(picamera2)
    try:
        camera.__init__(index, **({} if tuning is None else {"tuning": tuning}))
    except Exception:
        if getattr(camera, "is_open", False):
            camera.camera.release()
            camera.is_open = False
        raise
    return camera


def _even(width: int, height: int) -> tuple[int, int]:
    return width + width % 2, height + height % 2


def _within(timeout_s: float, what: str, function: Callable[[], T]) -> T:
    """Call a function that may never return, in a thread that is left behind if it does not.

    Raises:
        SourceStuckError: it did not return in time.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(error)

    thread = threading.Thread(target=call, name=f"deadline of {what}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise SourceStuckError(
            f"{what} took longer than {timeout_s:g} s because libcamera does not respond; restart "
            "pi-detector"
        )
    if errors:
        raise errors[0]
    return results[0]
