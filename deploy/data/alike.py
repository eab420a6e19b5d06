"""Photos that look alike.

Look-alikes are found by a difference hash: a photo is shrunk to 9x8 grey pixels, and each of 64
bits says whether a pixel is brighter than its left neighbour. Scaling, compression and brightness
change few bits; other photos differ in about half of them. A model is measured too well on a photo
whose look-alike it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from deploy.data.formats.base import open_photo

ALIKE_BITS = 4
"""Photos whose hashes differ in no more bits of 64 look alike."""
_FLAT_BITS = 6
_FEW_PIXELS = (9, 8)


@dataclass(frozen=True)
class Look:
    """A photo: its name, the SHA-256 of its file, and its difference hash."""

    name: str
    digest: bytes
    hash: int


def measure(data: bytes) -> tuple[tuple[int, int], int]:
    """Width and height of a photo as it is shown, and its difference hash.

    All of it is decoded, so that broken photos are found.

    Raises:
        OSError, ValueError: it is broken (any of ``BROKEN_PHOTO``).
    """
    with open_photo(data) as photo:
        photo.load()
        turned = ImageOps.exif_transpose(photo)
        return turned.size, difference_hash(turned)


def difference_hash(photo: Image.Image) -> int:
    """The 64-bit difference hash of a photo (see the module).

    >>> difference_hash(Image.linear_gradient("L").rotate(90)) == 2**64 - 1
    True
    """
    few = np.asarray(photo.convert("L").resize(_FEW_PIXELS, Image.Resampling.BOX))
    bits = few[:, 1:] > few[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def alike(
    ones: Sequence[Look], others: Sequence[Look], most: int
) -> Iterator[tuple[Look, Look, int]]:
    """Pairs of look-alikes, and the number of bits in which they differ.

    Args:
        ones: the photos of a split.
        others: those of another.
        most: the most bits.
    """
    hashes = np.array([other.hash for other in others], np.uint64)
    for one in ones:
        bits = np.bitwise_count(np.bitwise_xor(hashes, np.uint64(one.hash)))
        for index in np.flatnonzero(bits <= most):
            # Pictures without detail, such as night, have the same few bits.
            if _has_detail(one.hash) or one.digest == others[index].digest:
                yield one, others[index], int(bits[index])


def _has_detail(bits: int) -> bool:
    return _FLAT_BITS <= bits.bit_count() <= 64 - _FLAT_BITS
