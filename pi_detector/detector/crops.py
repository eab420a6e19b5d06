"""How large crops of a frame are, and the tiles that cover it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pi_detector.core.looks import Look

MAX_MAGNIFICATION = 1.5
"""A crop is not magnified more than this: there is nothing more to be seen in it."""
LEAST_GAIN = 1.3
"""A crop that magnifies less than this, compared with the whole frame, is not worth a look."""

_LARGEST = 2.0  # crop for one region, by the model's input: what is larger needs no crop
_LARGEST_JOINT = 1.5  # crop for several regions, by the model's input
_MAX_TILES = 24
_TILE_OVERLAP = 0.2


@dataclass(frozen=True, slots=True)
class CropSizes:
    """How large crops of a frame may be, by their height; all have the model's aspect.

    Attributes:
        aspect: width by height.
        least: magnified as much as is allowed.
        tile: of the rest of the frame, and of stills.
        joint: for several regions at most.
        largest: for one region; larger ones need no crop.
    """

    aspect: float
    least: int
    tile: int
    joint: int
    largest: int

    @classmethod
    def of(cls, size: tuple[int, int], input_size: tuple[int, int]) -> CropSizes | None:
        """The sizes for a frame; None where no crop of it shows more than the whole.

        Args:
            size: (width, height) of the frame.
            input_size: (height, width) of the model's input.
        """
        (width, height), (rows, columns) = size, input_size
        aspect = columns / rows
        most = min(height, math.floor(width / aspect))
        # The scale of a crop of the height h is rows / h.
        most = min(most, math.floor(math.sqrt(width * height / aspect) / LEAST_GAIN))
        least = math.ceil(rows / MAX_MAGNIFICATION)
        if least > most or math.ceil(least * aspect) > width:
            return None
        return cls(
            aspect,
            least,
            min(rows, most),
            min(round(_LARGEST_JOINT * rows), most),
            min(round(_LARGEST * rows), most),
        )


def tiles_of(size: tuple[int, int], sizes: CropSizes) -> tuple[Look, ...]:
    """Crops that overlap and cover a frame, a limited number; row by row."""
    width, height = size
    rows = sizes.tile
    while True:
        columns = math.ceil(rows * sizes.aspect)
        down = _count(height, rows)
        across = _count(width, columns)
        if down * across <= _MAX_TILES or rows >= sizes.largest:
            break
        rows = min(sizes.largest, math.ceil(1.1 * rows))
    return tuple(
        Look(x, y, columns, rows, "rest")
        for y in _spread(height, rows, down)
        for x in _spread(width, columns, across)
    )


def grid_of(size: tuple[int, int], columns: int, rows: int) -> tuple[Look, ...]:
    """The whole frame and tiles of it that overlap, row by row, of the frame's own aspect.

    Args:
        size: (width, height) of the frame.
        columns: tiles across.
        rows: tiles down.
    """
    width, height = size
    tile_width = min(width, math.ceil(width / (columns - (columns - 1) * _TILE_OVERLAP)))
    tile_height = min(height, math.ceil(height / (rows - (rows - 1) * _TILE_OVERLAP)))
    tiles = [
        Look(x, y, tile_width, tile_height, "tile")
        for y in _spread(height, tile_height, rows)
        for x in _spread(width, tile_width, columns)
    ]
    return (Look.whole(*size), *dict.fromkeys(t for t in tiles if not t.is_whole(*size)))


def _count(side: int, tile: int) -> int:
    """How many tiles cover a side, with the overlap."""
    if tile >= side:
        return 1
    return math.ceil((side - tile) / (tile * (1 - _TILE_OVERLAP))) + 1


def _spread(side: int, tile: int, count: int) -> list[int]:
    """Where tiles begin that are spread over a side evenly."""
    if count == 1:
        return [0]
    return [round(index * (side - tile) / (count - 1)) for index in range(count)]
