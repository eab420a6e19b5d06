"""Where a quantized file differs from its float one: layer by layer, over photos.

Two errors are told apart. The *accumulated* one is a layer's output in the quantized network
against the float network's: what went wrong up to there. The layer's *own* one is what it gives
when its inputs are the float network's, quantized: what went wrong in it alone. A layer that is
worth leaving in float has a large error of its own.

Both come from the reference kernels, which keep every tensor; the fast kernels of a device differ
from them by a rounding step at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.quantization.calibrate import LOWEST_LOGIT, QuantizationError
from deploy.quantization.export import INPUT, LOGITS
from deploy.quantization.layers import Layer
from deploy.quantization.probe import LoneLayers, Probe
from deploy.quantization.quantize import read_network
from pi_detector.detector.tensors import TensorInfo

SUGGESTIONS = 3
"""Layers that the printed recipe line leaves in float."""


class Errors:
    """Signal, noise and their likeness, over all photos."""

    def __init__(self) -> None:
        self.signal = self.noise = self.product = self.power = 0.0

    def add(self, reference: NDArray[np.float32], actual: NDArray[np.float32]) -> None:
        """Add one photo's values; both of the same shape."""
        a, b = reference.ravel(), actual.ravel()
        difference = b - a
        # float32 products, summed in float64.
        self.signal += float(np.dot(a, a))
        self.power += float(np.dot(b, b))
        self.product += float(np.dot(a, b))
        self.noise += float(np.dot(difference, difference))

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in dB; infinite where there is no noise."""
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def cosine(self) -> float:
        """Cosine similarity, in -1..1; 1 where both are zero."""
        norms = math.sqrt(self.signal * self.power)
        return self.product / norms if norms else float(self.signal == self.power)


@dataclass(frozen=True)
class LayerReport:
    """What quantization does to one layer.

    Attributes:
        name: of the layer.
        kind: of its operator.
        dtype: of its output in the quantized file.
        sqnr_db: of its output in the quantized network, accumulated over all layers before, in dB;
            infinite where nothing differs.
        own_sqnr_db: of its output where its inputs are the float network's, quantized.
        cosine: similarity of the output in the quantized network to the float one's, in -1..1.
        float_min, float_max: of the float network.
        lowest, highest: that the quantized output can represent; None for float.
        clipped: share of the float values outside that range, in 0..1 (logits that are cut off on
            purpose are taken as what they are cut to).
        saturated: share of the quantized values at a limit of the integer type beyond which the
            float ones go, in 0..1 (a ReLU's zeros lie at a limit and are none of these).
        channels: number of channels.
        dead: channels that are constant over all photos in the float network.
        lost: channels that vary there, but not in the quantized network.
    """

    name: str
    kind: str
    dtype: str
    sqnr_db: float
    own_sqnr_db: float
    cosine: float
    float_min: float
    float_max: float
    lowest: float | None
    highest: float | None
    clipped: float
    saturated: float
    channels: int
    dead: tuple[int, ...]
    lost: tuple[int, ...]


@dataclass
class _Tally:
    """What is gathered of one layer, photo by photo."""

    layer: Layer
    info: TensorInfo
    count: int = 0
    clipped: int = 0
    at_ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    total: Errors = field(default_factory=Errors)
    alone: Errors = field(default_factory=Errors)
    extremes: list[NDArray] = field(default_factory=list)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The real numbers that the output's integers reach from and to; None for float."""
        if not self.info.quantized:
            return None
        ends = np.iinfo(self.info.dtype)
        return tuple((end - self.info.zero_point) * self.info.scale for end in (ends.min, ends.max))

    @property
    def floor(self) -> float:
        """The lowest value that matters: logits are cut off on purpose."""
        head, _, part = self.layer.name.partition(".")
        logits = head == LOGITS or (head == "classify" and not part.endswith("filter"))
        if logits and self.limits and abs(self.limits[0] - LOWEST_LOGIT) <= self.info.scale:
            return self.limits[0]
        return -math.inf

    def add(self, reference: NDArray, stored: NDArray, alone: NDArray) -> None:
        """Add one photo: the float output, the quantized one, and that of the layer alone."""
        reference = np.maximum(reference, self.floor)
        actual = self.info.dequantize(stored)
        self.total.add(reference, actual)
        self.alone.add(reference, self.info.dequantize(alone))
        self.count += reference.size
        self._add_extremes(reference, actual)
        if (limits := self.limits) is None:
            return
        low, high = limits
        half = self.info.scale / 2
        self.clipped += int(np.count_nonzero((reference < low - half) | (reference > high + half)))
        ends = np.iinfo(self.info.dtype)
        self.at_ends += [np.count_nonzero(stored == end) for end in (ends.min, ends.max)]

    def _add_extremes(self, reference: NDArray, actual: NDArray) -> None:
        """The lowest and highest values by channel: of float, then of quantized."""
        rows = [values.reshape(-1, values.shape[-1]) for values in (reference, actual)]
        new = [f(axis=0) for values in rows for f in (values.min, values.max)]
        if self.extremes:
            pairs = zip((np.minimum, np.maximum) * 2, self.extremes, new, strict=True)
            new = [function(old, latest) for function, old, latest in pairs]
        self.extremes = new

    def report(self) -> LayerReport:
        """The sums as shares and ratios."""
        low, high, stored_low, stored_high = self.extremes
        dead, still = low == high, stored_low == stored_high
        lowest, highest = self.limits or (None, None)
        beyond = np.zeros(2, bool)
        if lowest is not None:
            half = self.info.scale / 2
            beyond[:] = low.min() < lowest - half, high.max() > highest + half
        return LayerReport(
            name=self.layer.name,
            kind=self.layer.kind,
            dtype=self.info.dtype.name,
            sqnr_db=self.total.sqnr_db,
            own_sqnr_db=self.alone.sqnr_db,
            cosine=self.total.cosine,
            float_min=float(low.min()),
            float_max=float(high.max()),
            lowest=lowest,
            highest=highest,
            clipped=self.clipped / self.count,
            saturated=int(self.at_ends[beyond].sum()) / self.count,
            channels=len(low),
            dead=tuple(np.nonzero(dead)[0].tolist()),
            lost=tuple(np.nonzero(still & ~dead)[0].tolist()),
        )


def compare(
    reference: Path, quantized: Path, inputs: Iterable[dict[str, NDArray[np.float32]]]
) -> list[LayerReport]:
    """Compare a quantized file with its float one.

    Args:
        reference: the float32 file.
        quantized: made of it.
        inputs: network inputs, see ``deploy.quantization.quantize.calibration_inputs``; read one
            at a time.

    Returns:
        One report a layer, the worst first: by its own error.

    Raises:
        QuantizationError: the files are not of the same network, or there are no inputs.
    """
    model = read_network(quantized)
    floats, actual, alone = Probe(read_network(reference)), Probe(model), LoneLayers(model)
    shapes = [{n: p.info(n).shape for n in p.layers} for p in (floats, actual)]
    if shapes[0] != shapes[1]:
        raise QuantizationError(f"{quantized}: has other layers than {reference}; give its own one")
    tallies = [_Tally(layer, actual.info(name)) for name, layer in actual.layers.items()]
    for values in inputs:
        real = floats.run(values[INPUT])
        stored = actual.run(values[INPUT])
        own = alone.run({**real, INPUT: values[INPUT]})
        for tally in tallies:
            name = tally.layer.name
            tally.add(real[name], stored[name], own[name])
    if not tallies[0].count:
        raise QuantizationError("no photos to compare with")
    return sorted((tally.report() for tally in tallies), key=lambda report: report.own_sqnr_db)


def float_layers(reports: Sequence[LayerReport], count: int = SUGGESTIONS) -> str:
    """The line of a recipe that leaves the worst convolutions in float."""
    worst = [r.name for r in reports if r.kind.endswith("CONV_2D") and r.dtype != "float32"]
    return "float_layers = [" + ", ".join(f"'{name}'" for name in worst[:count]) + "]"


def warnings_of(reports: Sequence[LayerReport], saturated: float) -> list[str]:
    """What deserves a look, in words.

    Args:
        reports: of all layers.
        saturated: share of an output's values at the integer limits that is too much, in 0..1.
    """
    found = []
    for report in reports:
        if report.saturated > saturated:
            found.append(
                f"{report.name}: {report.saturated:.1%} of the values at the integer's limits; "
                f"float goes from {report.float_min:.3g} to {report.float_max:.3g}, the range "
                f"from {report.lowest:.3g} to {report.highest:.3g}"
            )
        if report.lost:
            found.append(
                f"{report.name}: {len(report.lost)} of {report.channels} channels vary in float, "
                f"but are constant when quantized: {_numbers(report.lost)}"
            )
    dead = [f"{r.name} {len(r.dead)} of {r.channels}" for r in reports if r.dead]
    if dead:
        found.append(f"channels that are constant in float already: {', '.join(dead)}")
    return found


def render(reports: Sequence[LayerReport], rows: int, saturated: float) -> str:
    """A table of the worst layers, warnings, and the recipe's line, as text.

    Args:
        reports: of ``compare``.
        rows: layers in the table.
        saturated: see ``warnings_of``.
    """
    lines = [
        "SQNR in dB: own, of the layer alone; total, accumulated up to there. Worst own first.",
        f"{'layer':28} {'type':8} {'own':>6} {'total':>6} {'cosine':>8} "
        f"{'float range':>20} {'quantized range':>20} {'clipped':>8}",
    ]
    for r in reports[:rows]:
        reach = "-" if r.lowest is None else f"{r.lowest:.2f}..{r.highest:.2f}"
        lines.append(
            f"{r.name:28} {r.dtype:8} {r.own_sqnr_db:6.1f} {r.sqnr_db:6.1f} {r.cosine:8.5f} "
            f"{f'{r.float_min:.2f}..{r.float_max:.2f}':>20} {reach:>20} {r.clipped:8.3%}"
        )
    lines += [f"{r.name}: {r.sqnr_db:.1f} dB in all" for r in reports if "." not in r.name]
    lines += [f"warning: {text}" for text in warnings_of(reports, saturated)]
    if any(r.dtype != "float32" and r.kind.endswith("CONV_2D") for r in reports):
        lines += ["To leave the worst convolutions in float, in the recipe:", float_layers(reports)]
    return "\n".join(lines)


def to_dict(reports: Sequence[LayerReport]) -> dict[str, object]:
    """All layers as plain values for JSON; an infinite ratio is null."""
    layers = [
        {k: None if v in (math.inf, -math.inf) else v for k, v in asdict(report).items()}
        for report in reports
    ]
    return {"layers": layers, "float_layers": float_layers(reports)}


def _numbers(channels: Sequence[int]) -> str:
    shown = ", ".join(map(str, channels[:8]))
    return shown + (", ..." if len(channels) > 8 else "")
