"""What a report holds; ``report.json`` is this, the page and the Markdown are made from it."""

from __future__ import annotations

from typing import Literal

import msgspec

from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import Metrics

Kind = Literal["float", "recipe", "extra", "reference"]
LITERT = "litert"


class Latency(msgspec.Struct, frozen=True):
    """Time of one ``invoke()``.

    Attributes:
        runtime: `litert` or `tflite`.
        threads: of the interpreter.
        ratio, low, high: to float32 in the same round, runtime and number of threads: median and
            quartiles over the rounds.
        ms: median over the rounds, on the machine that made the report.
    """

    runtime: str
    threads: int
    ratio: float
    low: float
    high: float
    ms: float


class GraphFacts(msgspec.Struct, frozen=True):
    """What a model file holds.

    Attributes:
        macs: multiply-accumulates of one ``invoke()``.
        operators: number of operators by type.
        not_delegated: those of them that XNNPACK does not take, by type.
        delegates: partitions that XNNPACK took; more than one means copies in between.
    """

    macs: int
    operators: dict[str, int]
    not_delegated: dict[str, int]
    delegates: int


class Changes(msgspec.Struct, frozen=True):
    """Detections that differ from float32's, at float32's thresholds.

    Attributes:
        photos: with any.
        lost: of float32, which the model does not have.
        new: of the model, which float32 does not have.
    """

    photos: int
    lost: int
    new: int


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Figures on photos of other places.

    Attributes:
        metrics: accuracy.
        sources: mean AP50 by source of the photos.
        false_detections: on photos without any object of the classes, at the shipped thresholds.
        empty_photos: number of those photos.
    """

    metrics: Metrics
    sources: dict[str, float]
    false_detections: int
    empty_photos: int

    @property
    def false_per_100(self) -> float | None:
        """False detections per 100 photos without an object; None without such photos."""
        return 100 * self.false_detections / self.empty_photos if self.empty_photos else None


class Row(msgspec.Struct, kw_only=True):
    """A model of the report.

    Attributes:
        name: the recipe's, or what the user called it.
        kind: `float` is what the others are compared with; a `reference` is another network.
        summary: one line.
        types: weights and activations, as "int8 / int8", or "" where no recipe says it.
        qat: whether its recipe trains before it quantizes.
        failure: why there are no figures, or "".
        bytes: of the file.
        metrics: accuracy; its thresholds are those that would be shipped.
        ap_drop: points of AP (0.50:0.95) that it loses to float32.
        ap50_drop: points of AP50 that it loses to float32.
        latency: one entry a runtime and number of threads.
        latency_failures: by runtime, why it has no entry.
        graph: of the file.
        instructions: of one ``invoke()`` on aarch64.
        changes: of its detections.
        sources: mean AP50 by source of the validation photos.
        elsewhere: figures on photos of other places, where the data has some.
    """

    name: str
    kind: Kind
    summary: str = ""
    types: str = ""
    qat: bool = False
    failure: str = ""
    bytes: int | None = None
    metrics: Metrics | None = None
    ap_drop: float | None = None
    ap50_drop: Interval | None = None
    latency: list[Latency] = []
    latency_failures: dict[str, str] = {}
    graph: GraphFacts | None = None
    instructions: int | None = None
    changes: Changes | None = None
    sources: dict[str, float] = {}
    elsewhere: Elsewhere | None = None

    @property
    def measured(self) -> bool:
        """Whether there are figures."""
        return self.metrics is not None

    @property
    def candidate(self) -> bool:
        """Whether it may be chosen: measured, and no other network."""
        return self.measured and self.kind != "reference"

    @property
    def time(self) -> Latency | None:
        """The time that decisions rest on: LiteRT, one thread."""
        return next((t for t in self.latency if (t.runtime, t.threads) == (LITERT, 1)), None)


class Comparison(msgspec.Struct, frozen=True):
    """Quantization-aware training against quantization after training.

    Attributes:
        qat, ptq: names of the models.
        gain: points of AP50 that training gains.
        conclusion: a sentence.
    """

    qat: str
    ptq: str
    gain: Interval
    conclusion: str


class Choice(msgspec.Struct, frozen=True):
    """Which model to take.

    Attributes:
        name: of the model.
        front: names of the models on the Pareto front of AP50 and time, fastest first.
        reason: sentences.
    """

    name: str
    front: list[str]
    reason: str


class Example(msgspec.Struct, frozen=True):
    """A photo on which the chosen quantized model and float32 disagree.

    Attributes:
        photo: file name.
        lost: detections that only float32 has: "person 0.55 (0.31)", with the score that the
            quantized model gives the object in brackets.
        new: detections that only the quantized model has, likewise.
    """

    photo: str
    lost: list[str]
    new: list[str]


class Report(msgspec.Struct, kw_only=True):
    """Everything that was measured.

    Attributes:
        date: of the run.
        machine: what it ran on, by keyword.
        photos: evaluated.
        photos_in_set: in the validation set.
        labels: classes in order.
        rows: the models; float32 is the first.
        not_measured: what is missing, and why.
        comparisons: of training with and without quantization.
        comparison_note: what to know where there are none.
        choice: which one to take.
        thresholds: float32's by label, at which ``changes`` and examples look.
        confusion: matrix of the chosen model (``Confusion.tables``).
        compared: name of the model of the examples.
        examples: photos with the largest disagreement.
    """

    date: str
    machine: dict[str, str]
    photos: int
    photos_in_set: int
    labels: list[str]
    rows: list[Row]
    not_measured: list[str] = []
    comparisons: list[Comparison] = []
    comparison_note: str = ""
    choice: Choice
    thresholds: dict[str, float]
    confusion: dict
    compared: str = ""
    examples: list[Example] = []
