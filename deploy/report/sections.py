"""The report as sections of text, tables and figures: what the page and the Markdown both show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deploy.report.conclude import WITHIN
from deploy.report.content import Latency, Report, Row
from deploy.report.latency import LITERT

NONE = "–"
UNSTEADY = 0.25
"""Of a time's ratio: the distance between its quartiles above which other work has disturbed it."""
_RUNTIMES = {LITERT: "LiteRT", "tflite": "tflite-runtime"}


@dataclass(frozen=True)
class Table:
    """A table of text cells; the first column names the row.

    Attributes:
        header: one cell a column.
        rows: likewise.
        marked: positions of rows to bring out.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shot:
    """A photo with the detections of two models.

    Attributes:
        title: what it is.
        captions: under each picture.
        pictures: JPEGs.
    """

    title: str
    captions: tuple[str, str]
    pictures: tuple[bytes, bytes]


@dataclass(frozen=True)
class Section:
    """A part of the report; its text comes first, then figures, tables and photos."""

    title: str
    text: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)


def sections(report: Report, pictures: Sequence[tuple[bytes, bytes]]) -> list[Section]:
    """All of the report; without ``pictures`` the examples are text only."""
    made = [
        _decision(report),
        _accuracy(report),
        _elsewhere(report),
        _operating(report),
        _latency(report),
        _graphs(report),
        _training(report),
        _examples(report, pictures),
        _method(report),
    ]
    return [section for section in made if section is not None]


def _number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _measured(report: Report) -> list[Row]:
    return [row for row in report.rows if row.measured]


def _marked(report: Report, rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(i for i, row in enumerate(rows) if row.name == report.choice.name)


def _decision(report: Report) -> Section:
    rows = [_summary_row(row) for row in report.rows]
    header = ("model", "size MB", "AP50", "AP", "AP50 lost, points", "time / float32",
              "Arm instructions, M")  # fmt: skip
    text = [report.choice.reason]
    if report.choice.front:
        front = ", ".join(report.choice.front)
        text.append(f"None is both more accurate and faster than these, fastest first: {front}.")
    text += [f"{row.name} failed: {row.failure}" for row in report.rows if row.failure]
    text.append(
        "Time is that of LiteRT on one thread of this machine, not of a Raspberry Pi; small "
        "differences between recipes may turn out otherwise there. AP50 lost is to float32, with "
        "its 95 % interval in brackets."
    )
    return Section(
        "Which one to take",
        text,
        {
            "pareto": "AP50 over time for each model; the larger a circle, the larger the file; "
            "the dashed line is the Pareto front",
            "drop": "Points of AP50 that each model loses to float32, with 95 % intervals",
        },
        [Table(header, rows, _marked(report, report.rows))],
    )


def _summary_row(row: Row) -> tuple[str, ...]:
    if not row.measured:
        return (row.name, *["failed"] * 1, *[NONE] * 5)
    time = row.time
    drop = NONE
    if row.kind == "reference":
        drop = "another network"
    elif row.kind != "float":
        span = row.ap50_drop
        drop = f"{span.points:.2f} ({span.low:.2f} to {span.high:.2f})"
    return (
        row.name,
        f"{row.bytes / 1e6:.2f}",
        _number(row.metrics.ap50),
        _number(row.metrics.ap),
        drop,
        NONE if time is None else f"{time.ratio:.2f}",
        NONE if row.instructions is None else f"{row.instructions / 1e6:.1f}",
    )


def _accuracy(report: Report) -> Section:
    rows = _measured(report)
    by_class = Table(
        ("AP50", *report.labels),
        [
            (r.name, *(_number(getattr(r.metrics.classes.get(n), "ap50", None))
                       for n in report.labels)) for r in rows
        ],
        _marked(report, rows),
    )  # fmt: skip
    sizes = ("small", "medium", "large")
    by_size = Table(
        ("AP50", *sizes),
        [(r.name, *(_number(getattr(r.metrics, f"ap50_{s}")) for s in sizes)) for r in rows],
        _marked(report, rows),
    )
    changes = Table(
        ("differs from float32", "photos", "detections lost", "detections new"),
        [
            (r.name, f"{r.changes.photos} of {report.photos}", str(r.changes.lost),
             str(r.changes.new)) for r in rows if r.changes
        ],
    )  # fmt: skip
    text = [
        "Mean over classes of COCO's average precision, through the detector that the device runs. "
        "A class counts only on photos where it is annotated exhaustively. Small is below 32 × 32 "
        "pixels of the photo, large above 96 × 96."
    ]
    tables = [by_class, by_size]
    if changes.rows:
        shown = ", ".join(f"{label} {score:.2f}" for label, score in report.thresholds.items())
        text.append(
            "The last table counts detections that only one of two models has, both at the "
            f"thresholds of float32's best F1 ({shown})."
        )
        tables.append(changes)
    return Section("Accuracy by class and size", text, tables=tables)


def _elsewhere(report: Report) -> Section | None:
    rows = [row for row in _measured(report) if row.elsewhere]
    if not rows:
        return None
    figures = Table(
        ("photos of other places", "AP50", "people", "small people", "false per 100 empty photos"),
        [_elsewhere_row(row) for row in rows],
        _marked(report, rows),
    )
    shown = [r for r in rows if r.kind in ("float", "reference") or r.name == report.choice.name]
    kinds: dict[str, Callable[[Row], dict[str, float]]] = {
        "validation": lambda row: row.sources,
        "other": lambda row: row.elsewhere.sources,
    }
    sources = [
        (f"{source} ({kind})", *(_number(of(row).get(source)) for row in shown))
        for kind, of in kinds.items()
        for source in sorted({source for row in shown for source in of(row)})
    ]
    empty = max(row.elsewhere.empty_photos for row in rows)
    text = [
        "Photos of places and kinds that training has few of: how far a model carries. False "
        f"detections are counted at the thresholds that a bundle ships, on the {empty} photos "
        "without any object of these classes; of another network, at its own thresholds.",
        "The second table is the mean AP50 over the classes that a source annotates.",
    ]
    return Section(
        "On photos of other places",
        text,
        {
            "arm": "AP50 on photos of other places over Arm instructions of one invoke(), for all "
            "models; the dashed line is the Pareto front"
        },
        [figures, Table(("AP50 by source", *(row.name for row in shown)), sources)],
    )


def _elsewhere_row(row: Row) -> tuple[str, ...]:
    metrics = row.elsewhere.metrics
    person = metrics.classes.get("person")
    return (
        row.name,
        _number(metrics.ap50),
        _number(getattr(person, "ap50", None)),
        _number(getattr(person, "ap50_small", None)),
        _number(row.elsewhere.false_per_100, 0),
    )


def _operating(report: Report) -> Section:
    matrix = report.confusion
    by_class = Table(
        ("class", "threshold", "precision", "recall"),
        [
            (label, *(_number(row[key], 2) for key in ("threshold", "precision", "recall")))
            for label, row in matrix["classes"].items()
        ],
    )
    counts = Table(
        ("object \\ detected as", *matrix["labels"]),
        [
            (label, *map(str, row))
            for label, row in zip(matrix["labels"], matrix["counts"], strict=True)
        ],
    )
    text = (
        f"{report.choice.name} at the thresholds that a bundle of it would ship (its best F1 by "
        "class, within limits). The matrix counts objects by what they are detected as, at IoU "
        "0.50: the last column is missed, the last row found where nothing is annotated."
    )
    return Section("At the shipped thresholds", [text], tables=[by_class, counts])


def _latency(report: Report) -> Section:
    columns = sorted({(t.runtime, t.threads) for row in report.rows for t in row.latency})
    rows = _measured(report)
    header = tuple(f"{_RUNTIMES[r]}, {n} thread{'s' * (n > 1)}" for r, n in columns)

    def table(title: str, cell: Callable[[Latency], str]) -> Table:
        body = []
        for row in rows:
            entries = {(t.runtime, t.threads): cell(t) for t in row.latency}
            body.append((row.name, *(entries.get(column, NONE) for column in columns)))
        return Table((title, *header), body, _marked(report, rows))

    ratio = table("time / float32", lambda t: f"{t.ratio:.2f} ({t.low:.2f} to {t.high:.2f})")
    absolute = table("ms, this machine", lambda t: f"{t.ms:.1f}")
    processor = f"{report.machine['processor']}, {report.machine['cores']} cores"
    text = [
        "One invoke(), all models in turn in rounds; medians and quartiles over the rounds of the "
        "ratio to float32 in the same round, runtime and number of threads.",
        f"The milliseconds are those of this machine ({processor}), not of a Pi.",
    ]
    for row in rows:
        for runtime, reason in row.latency_failures.items():
            text.append(f"{row.name} does not run in {_RUNTIMES[runtime]}: {reason}")
    unsteady = [
        r.name for r in rows if r.time and r.time.high - r.time.low > UNSTEADY * r.time.ratio
    ]
    if unsteady:
        text.append(
            f"The rounds of {', '.join(unsteady)} differ by more than {UNSTEADY:.0%}: the machine "
            "had other work. Measure again when it is idle before you rely on the times."
        )
    text += report.not_measured
    return Section("Latency", text, tables=[ratio, absolute])


def _graphs(report: Report) -> Section:
    rows = [row for row in report.rows if row.graph]
    kinds = sorted({kind for row in rows for kind in row.graph.operators})
    body = []
    for row in rows:
        left = ", ".join(f"{n} {kind}" for kind, n in row.graph.not_delegated.items())
        count = sum(row.graph.operators.values())
        body.append(
            (row.name, f"{row.graph.macs / 1e6:.0f}", f"{count}", f"{row.graph.delegates}",
             left or "none")
        )  # fmt: skip
    operators = [
        (row.name, *(str(row.graph.operators.get(kind, 0) or NONE) for kind in kinds))
        for row in rows
    ]
    text = [
        "Multiply-accumulates of the convolutions, and what XNNPACK, which has the fast kernels, "
        "does not take: that runs in LiteRT's own kernels, which are slower. More than one "
        "partition means that the graph is cut in between.",
    ]
    counted = [row for row in rows if row.instructions is not None]
    if counted:
        text.append(
            "Arm instructions (first table) are those of one invoke() of LiteRT on aarch64, "
            "counted in QEMU. They are not time, but they are of the Arm code."
        )
    return Section(
        "What the files hold",
        text,
        tables=[
            Table(("model", "MACs, M", "operators", "XNNPACK partitions", "not delegated"), body),
            Table(("operators", *kinds), operators),
        ],
    )


def _training(report: Report) -> Section:
    text = [c.conclusion for c in report.comparisons] or [report.comparison_note]
    text.append(
        "Compared with the best recipe of the same types without such training, on the same "
        "photos: a paired bootstrap draws the photos again with replacement, 1000 times."
    )
    return Section("Training with quantization, or not", text)


def _examples(report: Report, pictures: Sequence[tuple[bytes, bytes]]) -> Section | None:
    if not report.compared:
        return None
    if not report.examples:
        text = f"{report.compared} finds on every photo what float32 finds."
        return Section("What quantization changed", [text])
    text = [
        f"The photos on which {report.compared} and float32 differ most. In brackets: the score "
        "that the other model gives the same object."
    ]
    shots = []
    for example, pair in zip(report.examples, pictures, strict=False):
        captions = (
            "float32; lost by the other: " + (", ".join(example.lost) or "nothing"),
            f"{report.compared}; new: " + (", ".join(example.new) or "nothing"),
        )
        shots.append(Shot(example.photo, captions, pair))
    tables = []
    if not shots:
        rows = [(e.photo, ", ".join(e.lost) or NONE, ", ".join(e.new) or NONE)
                for e in report.examples]  # fmt: skip
        tables = [Table(("photo", "only float32 has", f"only {report.compared} has"), rows)]
    return Section("What quantization changed", text, tables=tables, shots=shots)


def _method(report: Report) -> Section:
    recipes = [(row.name, row.types or NONE, row.summary) for row in report.rows]
    software = ", ".join(f"{k} {v}" for k, v in report.machine.items() if k != "cores")
    some = f"{report.photos} of the " if report.photos < report.photos_in_set else "All "
    text = [
        f"{some}{report.photos_in_set} validation photos, {report.date}. {software}.",
        f"The choice: of the models within {100 * WITHIN:g} point of the best AP50 the fastest; "
        "those whose time lies within the fastest's quartiles count as equally fast, and of them "
        "the one with the largest AP50 is taken. Calibration uses training photos only.",
    ]
    return Section(
        "How it was made", text, tables=[Table(("model", "weights / activations", "what"), recipes)]
    )
