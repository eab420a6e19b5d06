"""Images of a folder, or named ones."""

from __future__ import annotations

import logging
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import (
    BadImageError,
    PiDetectorError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.util.media import list_folder
from pi_detector.util.memory import check_size, largest_image

if TYPE_CHECKING:
    from pi_detector.sources.isolated_pictures import PictureProcess

log = logging.getLogger(__name__)

_HEAD_BYTES = 1024 * 1024
_PIXEL_LIMIT = "CV_IO_MAX_IMAGE"


class ImagesSource:
    """Images one after the other, in the order of their names (folder) or as given.

    An image that cannot be decoded is skipped with a warning; if none can be decoded, that is an
    error. Images are rotated upright by their EXIF orientation.

    They are decoded in a separate process, unless ``isolation`` is off: a file of a few KiB may
    announce gigabytes, or crash its decoder.

    Args:
        target: a folder, searched with its subfolders, or image files.
        settings: loop, isolation.

    Attributes:
        skipped: images skipped so far.
    """

    live = False

    def __init__(self, target: str | Sequence[Path], settings: SourceSettings) -> None:
        self._folder = Path(target) if isinstance(target, str) else None
        self._files = [] if isinstance(target, str) else list(target)
        self._loop = settings.loop
        self.name = self._name()
        self._process: PictureProcess | None = None
        if settings.isolation != "off":
            from pi_detector.sources.isolated_pictures import PictureProcess

            self._process = PictureProcess(self.name)
        self.skipped = 0
        self._faults: list[PiDetectorError] = []
        self._frames = FrameMaker(self.name)
        self._next = 0
        self._delivered = 0
        self._is_open = False

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Find the images. ``model_size`` is not used.

        Raises:
            SourceNotFoundError: the folder or a named file does not exist, or it has no images.
            SourcePermissionError: the folder, or all that is in it, may not be read.
        """
        self.close()
        self.skipped = 0
        self._faults = []
        if self._folder is not None:
            self._files, self.skipped = _list_folder(self._folder)
        missing = next((path for path in self._files if not _is_there(path)), None)
        if missing is not None:
            raise SourceNotFoundError(f"{missing}: no such image; check the path")
        self._next = 0
        self._delivered = 0
        self._is_open = True

    def read(self) -> Frame | None:
        """The next image; None after the last, unless they are looped.

        Raises:
            BadImageError: all images were tried, and not one could be decoded in this pass.
            SourcePermissionError: not one of them may be read.
        """
        if not self._is_open:
            raise SourceLostError(f"{self.name}: not open; open it first")
        while True:
            if self._next == len(self._files):
                if not self._delivered:
                    raise self._nothing_decoded()
                if not self._loop:
                    return None
                self._next = 0
                self._delivered = 0
                self._faults = []
            path = self._files[self._next]
            self._next += 1
            frame = self._decode(path)
            if frame is not None:
                self._delivered += 1
                return frame

    def close(self) -> None:
        """Forget the position, and end the process."""
        self._is_open = False
        if self._process is not None:
            self._process.close()

    def _name(self) -> str:
        if self._folder is not None:
            return f"images:{self._folder.resolve().name}"
        return self._files[0].name if len(self._files) == 1 else "images"

    def _decode(self, path: Path) -> Frame | None:
        try:
            if self._process is not None:
                image = self._process.decode(path)
                return self._frames.from_rgb(image, Moment.now(), path=str(path))
            return self._frames.from_bgr(_read_picture(path), Moment.now(), path=str(path))
        except (BadImageError, SourcePermissionError) as error:
            self.skipped += 1
            self._faults.append(error)
            log.warning("%s: skipped because it cannot be decoded (%s)", path, error)
            return None

    def _nothing_decoded(self) -> PiDetectorError:
        reason = self._faults[0]
        if all(isinstance(fault, SourcePermissionError) for fault in self._faults):
            where = self._files[0] if len(self._files) == 1 else self._folder or self._files[0]
            return SourcePermissionError(
                f"{where}: no permission to read ({reason}); grant it with 'chmod -R a+rX'"
            )
        if len(self._files) == 1:
            return BadImageError(
                f"{self._files[0]}: cannot be decoded ({reason}); check that it is an intact image "
                "(JPEG, PNG, BMP, TIFF, WebP)"
            )
        return BadImageError(
            f"{self._folder or 'images'}: none of the {len(self._files)} images can be decoded; "
            f"the first is {self._files[0]} ({reason})"
        )


def _read_picture(path: Path) -> ImageArray:
    try:
        with path.open("rb") as file:
            return decode_picture(file)
    except PermissionError as error:
        raise SourcePermissionError(error.strerror or str(error)) from error
    except OSError as error:
        raise BadImageError(error.strerror or str(error)) from error


def decode_picture(file: BinaryIO) -> ImageArray:
    """Decode one picture.

    Args:
        file: at its begin. Bytes are decoded, not a path: cv2.imread cannot open names that are not
            UTF-8, nor say why it fails.

    Returns:
        (H, W, 3) uint8 BGR, turned upright.

    Raises:
        BadImageError: it cannot be decoded, or is too large; the message is the reason alone.
        OSError: it cannot be read.
    """
    import cv2

    try:
        encoded = np.frombuffer(file.read(), np.uint8)
        if not encoded.size:
            raise BadImageError("the file is empty")
        size = picture_size(encoded[:_HEAD_BYTES].tobytes())
        if size is not None:
            check_size(*size)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except cv2.error as error:
        # The variable of OpenCV, which a process of ours sets, holds for all kinds of pictures.
        reason = f"larger than {largest_image() / 1e6:.3g} megapixels"
        raise BadImageError(reason if _PIXEL_LIMIT in error.err else error.err) from error
    except MemoryError as error:
        raise BadImageError("not enough memory") from error
    if image is None:
        raise BadImageError("damaged, or not an image")
    return np.asarray(image, np.uint8)


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG or PNG announces; None of other kinds, or where it says none.

    Args:
        head: the begin of the file. Of a JPEG the size may stand behind a preview and a colour
            profile.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
        return width, height
    if not head.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4])
        # Start of frame of any kind; not tables of Huffman (C4) or arithmetic (CC), nor C8.
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + length  # markers may be padded
    return None


def _is_there(path: Path) -> bool:
    """Whether a file is there, be it one that may not be read: that is found out by reading."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _list_folder(folder: Path) -> tuple[list[Path], int]:
    """The images of a folder, and how many of its entries cannot be read."""
    try:
        found = list_folder(folder, frozenset({"image"}))
    except PermissionError as error:
        raise SourcePermissionError(
            f"{folder}: no permission to read this folder; grant it with 'chmod a+rx'"
        ) from error
    except OSError as error:
        raise SourceNotFoundError(
            f"{folder}: cannot read the folder ({error.strerror}); check the path"
        ) from error
    if not found.files:
        faults = [error for _, error in found.faulty]
        if faults and all(isinstance(error, PermissionError) for error in faults):
            raise SourcePermissionError(
                f"{folder}: no permission to read its files; grant it with 'chmod -R a+rX'"
            )
        raise SourceNotFoundError(
            f"{folder}: no images in it (.jpg, .png, .bmp, .tif, .webp); check the path"
        )
    return found.files, len(found.faulty)
