"""The inputs and outputs of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Tensors(Protocol):
    """Where the outputs of a model are read."""

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives a view into a tensor."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model.

    Attributes:
        index: its number, for ``Interpreter.tensor``.
        name: its name in the model.
        shape: its shape, batch included.
        dtype: its element type.
        scale: of the quantization, real = (stored - zero_point) * scale; 0 where there is none.
        zero_point: of the quantization.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantized(self) -> bool:
        """Whether its values are integers that stand for real numbers."""
        return self.scale > 0 and self.dtype.kind in "iu"

    def dequantize(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Stored values as float32 real numbers."""
        real = stored.astype(np.float32)
        if self.quantized:
            real -= np.float32(self.zero_point)
            real *= np.float32(self.scale)
        return real


def tensor_info(details: Mapping[str, Any]) -> TensorInfo:
    """A tensor from what ``get_input_details`` or ``get_output_details`` says of it."""
    scale, zero_point = details["quantization"]
    dtype: DTypeLike = details["dtype"]
    return TensorInfo(
        index=int(details["index"]),
        name=str(details["name"]),
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(dtype),
        scale=float(scale),
        zero_point=int(zero_point),
    )


class OutputCopies:
    """The outputs of one ``invoke``, which the next one does not change.

    Args:
        tensors: the interpreter.
        outputs: of the model.
    """

    def __init__(self, tensors: Tensors, outputs: Sequence[TensorInfo]) -> None:
        self._copies = {info.index: tensors.tensor(info.index)().copy() for info in outputs}

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives the copy of an output."""
        return lambda: self._copies[tensor_index]
