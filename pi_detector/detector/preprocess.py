"""From a frame to the bytes of the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pi_detector.core.frame import ImageArray
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.tensors import TensorInfo, tensor_info
from pi_detector.errors import BadModelError


def input_of(bundle: Bundle, details: Sequence[dict[str, object]]) -> TensorInfo:
    """The image input of a model, checked against its manifest.

    Raises:
        BadModelError: its input is not one RGB image, or differs from the manifest.
    """
    inputs = [tensor_info(d) for d in details]
    info = inputs[0]
    planar = bundle.manifest is not None and bundle.manifest.input.layout == "nchw"
    if len(inputs) != 1 or not is_image(info, planar=planar):
        shapes = ", ".join(str(i.shape) for i in inputs)
        axes = "3, height, width" if planar else "height, width, 3"
        raise BadModelError(
            f"{bundle.path}: its input is {shapes}, not one RGB image (1, {axes}); use a detection "
            "model, and `pi-detector models import` for one with the channels first"
        )
    if bundle.manifest is not None:
        said = bundle.manifest.input
        actual = (info.name, *size_of(info, planar=planar), info.dtype.name)
        if actual != (said.tensor, said.height, said.width, said.dtype):
            raise BadModelError(
                f"{bundle.path}: the model's input {actual} differs from the manifest; reinstall "
                "the "
                "model"
            )
    return info


def is_image(info: TensorInfo, *, planar: bool) -> bool:
    """Whether a tensor is one RGB image; ``planar``: with the channels first."""
    return len(info.shape) == 4 and info.shape[0] == 1 and info.shape[1 if planar else 3] == 3


def size_of(info: TensorInfo, *, planar: bool) -> tuple[int, int]:
    """(height, width) of an image input; ``planar``: with the channels first."""
    height, width = info.shape[2:] if planar else info.shape[1:3]
    return height, width


def scale_to_input(image: ImageArray, out: ImageArray) -> None:
    """Stretch ``image`` (H, W, 3) to the size of ``out`` (h, w, 3), both uint8, bilinear."""
    import cv2

    cv2.resize(image, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)


def staged_input(
    image: ImageArray, input_size: tuple[int, int], scaled: ImageArray | None = None
) -> ImageArray:
    """An image at the model's size: what the camera scaled, else a scaled copy.

    Args:
        image: (H, W, 3) uint8 RGB.
        input_size: (height, width) of the model's input.
        scaled: the same as the camera scaled it, or None.

    Returns:
        (height, width, 3) uint8 RGB; the given array where that already fits.
    """
    shape = (*input_size, 3)
    for ready in (scaled, image):
        if ready is not None and ready.shape == shape:
            return ready
    # A fresh buffer for each frame: one that waits or is in use is never overwritten, and a frame
    # that a newer one replaces needs no return to a pool. The allocator makes it cheap.
    staged = np.empty(shape, np.uint8)
    scale_to_input(image, staged)
    return staged


class InputCoding:
    """How a camera's byte becomes an element of the model's input.

    A byte stands for the real number (byte - mean) / deviation, which the input's quantization
    stores as an integer. Where that integer is the byte itself (uint8 models) or the byte - 128
    (int8 models), which it is in well-made models, the bytes are taken as they are.
    """

    def __init__(
        self, info: TensorInfo, mean: float | None, deviation: float | None, *, planar: bool = False
    ) -> None:
        """Work out the coding.

        Args:
            info: the model's input.
            mean: byte that stands for 0, or None for the convention of its type.
            deviation: bytes to the real number 1, or None for the convention of its type.
            planar: the channels come first.

        Raises:
            BadModelError: the type of the input is none of uint8, int8, int16, float32.
        """
        if info.dtype not in (np.uint8, np.int8, np.int16, np.float32):
            raise BadModelError(
                f"input {info.name!r} is {info.dtype}; export the model with a uint8, int8, int16 "
                "or float32 input"
            )
        byte = np.arange(256, dtype=np.float64)
        if mean is not None and deviation is not None:
            table = (byte - mean) / deviation
            if info.quantized:
                limits = np.iinfo(info.dtype)
                table = np.rint(table / info.scale + info.zero_point)
                table = table.clip(limits.min, limits.max)
        elif info.dtype == np.float32:
            table = (byte - 127.5) / 127.5
        else:
            table = byte - (0 if info.dtype == np.uint8 else 128)
        self._table = table.astype(info.dtype)
        self._planar = planar
        self._same = info.dtype == np.uint8 and bool((self._table == byte).all())
        self._flip = info.dtype == np.int8 and bool((self._table == byte - 128).all())

    def fill(self, staged: ImageArray, view: NDArray[Any]) -> None:
        """Write ``staged`` (h, w, 3) into ``view``, the model's input tensor, (1, h, w, 3).

        Where the channels come first, it is (1, 3, h, w).
        """
        pixels = staged.transpose(2, 0, 1) if self._planar else staged
        if self._same:
            np.copyto(view[0], pixels)
        elif self._flip:
            # byte - 128 as int8 is the byte with its highest bit flipped.
            np.bitwise_xor(pixels, np.uint8(0x80), out=view[0].view(np.uint8))
        else:
            np.take(self._table, pixels, out=view[0], mode="clip")
