"""Metrics of a run for Prometheus.

Names and units follow Prometheus' conventions: base units, ``_total`` for what only grows. What is
not known has no sample. Source: "Metric and label naming" of Prometheus' documentation, OpenMetrics
1.0.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics

from pi_detector import __version__
from pi_detector.core.current import CurrentState
from pi_detector.core.readings import ThrottlingFlags
from pi_detector.core.records import EventRecord, PerformanceRecord, Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.telemetry.monitor import RunState

PREFIX = "pi_detector"
MOST_LABELS = 100
"""Most distinct labels of models; further ones become ``other``."""

# From a fast PC to a Pi Zero with a large model.
_BUCKETS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0),
)
_PHASES = ("new", "update", "end")
_READINGS_GRACE_S = 30.0
_MEGA = 1e6
# Name, meaning, field of ``HostReadings``, what it is multiplied by.
_HOST = (
    ("temperature_celsius", "Temperature of the processor.", "temperature_celsius", 1.0),
    ("frequency_hertz", "Clock of the processor.", "cpu_mhz", _MEGA),
    ("load1", "Load average over a minute.", "load_1m", 1.0),
    ("memory_available_bytes", "Memory available without swapping.", "memory_available_mb", _MEGA),
    ("disk_free_bytes", "Free space for the state folder.", "disk_free_mb", _MEGA),
    ("wifi_signal_dbm", "Signal of the first wireless interface.", "wifi_dbm", 1.0),
    ("uptime_seconds", "Time since the device was started.", "uptime_s", 1.0),
)


class Metrics:
    """A sink that counts, and the text of all metrics.

    Args:
        detector: label ``detector`` of every sample; empty for none.
        state: returns the state of the run; called from the thread that reads the metrics.

    Example:
        >>> metrics = Metrics("", state)
        >>> metrics.handle(result)
        >>> body, content_type = metrics.exposition()
    """

    name = "metrics"
    lossless = True

    def __init__(self, detector: str, state: Callable[[], RunState]) -> None:
        disable_created_metrics()  # twice the series, for what Prometheus does not read
        self._state = state
        self._registry = registry = _Registry({"detector": _utf8(detector)} if detector else {})
        self._labels: set[str] = set()
        self._model_labels: Mapping[int, str] | None = None
        self._was_live = False
        self._failed: set[str] = set()
        self._lost: Tally[str] = Tally()
        self._performance: PerformanceRecord | None = None

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(
                f"{PREFIX}_{name}", meaning, labels, registry=registry, buckets=_BUCKETS_S
            )

        self._inferred = counter("frames_inferred", "Frames that went through the model.")
        self._looks = counter("looks", "Runs of the model, on frames and crops.", "reason")
        self._detections = counter("detections", "Detections, counted in each frame.", "label")
        self._events = counter("events", "Records of events.", "label", "phase")
        self._reopenings = counter("source_reopenings", "Recoveries of the source after a failure.")
        stages = histogram("stage_duration_seconds", "Time that a frame took in a stage.", "stage")
        self._preprocess = stages.labels("preprocess")
        self._invoke = stages.labels("invoke")
        self._decode = stages.labels("decode")
        self._latency = histogram(
            "latency_seconds", "Time from the capture of a frame to the end of its detection."
        )
        ProcessCollector(namespace=PREFIX, registry=registry)
        registry.register(self)

    def start(self) -> None:
        """Do nothing."""

    def catch_up(self, now: CurrentState) -> None:
        """Know what works and the latest readings; counters begin at 0."""
        for status in now.statuses.values():
            self.handle(status)
        self._performance = now.performance

    def handle(self, item: Publication) -> bool:
        """Count a frame or record."""
        match item:
            case Result():
                self._count_frame(item)
            case EventRecord():
                self._events.labels(self._known(item.label), item.phase).inc()
            case StatusRecord(part="source", state="live"):
                self._reopenings.inc(int(self._was_live))
                self._was_live = True
            case StatusRecord(part="sink", name=output, state="failed"):
                self._failed.add(output)
            case StatusRecord(part="sink", name=output, state="live" | "stopped"):
                self._failed.discard(output)
                self._lost[output] += item.lost
            case PerformanceRecord():
                self._performance = item
        return True

    def close(self) -> None:
        """Do nothing."""

    def exposition(self) -> tuple[bytes, str]:
        """All metrics in the OpenMetrics format, and its content type, for an HTTP response.

        May be called from any thread.
        """
        return openmetrics.generate_latest(self._registry), openmetrics.CONTENT_TYPE_LATEST

    def text(self) -> bytes:
        """All metrics in the Prometheus text format. May be called from any thread."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What is asked of the run instead of counted; called by the registry."""
        state = self._state()
        flow = state.flow
        yield InfoMetricFamily(
            f"{PREFIX}_build", "Version of pi-detector.", {"version": __version__}
        )
        about = {"model": _utf8(state.model), "runtime": state.runtime}
        yield InfoMetricFamily(f"{PREFIX}_model", "The model.", about)
        yield _gauges(
            "source_up",
            "Whether the source delivers frames.",
            "source",
            {_utf8(state.source): state.source_live},
        )
        for name, meaning, total in (
            ("captured", "Frames read from the source.", flow.captured),
            ("processed", "Frames that went through the pipeline.", flow.processed),
            ("dropped", "Frames replaced by a newer one.", flow.replaced),
        ):
            yield CounterMetricFamily(f"{PREFIX}_frames_{name}", meaning, total)
        yield _gauges(
            "output_up",
            "Whether the output works.",
            "output",
            {output: output not in self._failed for output in flow.unseen},
        )
        dropped = CounterMetricFamily(
            f"{PREFIX}_output_dropped",
            "Items lost because the output was slow or had failed.",
            labels=("output", "reason"),
        )
        for output, unseen in flow.unseen.items():
            dropped.add_metric((output, "slow"), unseen)
            dropped.add_metric((output, "failed"), self._lost[output])
        yield dropped
        yield from self._readings(state.readings_interval_s)

    def _readings(self, interval_s: float) -> Iterator[Metric]:
        """The sensors as the last performance record has them, unless the next one is overdue."""
        record = self._performance
        if record is not None:
            age_s = (time.monotonic_ns() - record.monotonic_ns) / 1e9
            if age_s > 2 * interval_s + _READINGS_GRACE_S:
                record = None
        host = record.host if record else None
        for name, meaning, field, factor in _HOST:
            yield _gauge(f"host_{name}", meaning, getattr(host, field, None), factor)
        for name, meaning, flags in (
            ("throttling", "What throttles the processor now.", host and host.throttling),
            (
                "throttling_ever",
                "What throttled it since the start.",
                host and host.throttling_ever,
            ),
        ):
            met = msgspec.structs.asdict(flags or ThrottlingFlags())
            yield _gauges(f"host_{name}", meaning, "condition", met)
        yield _gauge(
            "process_children_resident_memory_bytes",
            "Resident memory of the processes that pi-detector started.",
            record.process.children_rss_mb if record else None,
            _MEGA,
        )

    def _count_frame(self, result: Result) -> None:
        if result.labels is not self._model_labels:
            self._model_labels = result.labels
            self._begin_at_zero(result.labels.values())
        timings = result.timings
        self._preprocess.observe(timings.preprocess_ms / 1e3)
        if result.inferred:
            self._inferred.inc()
            for look in result.looks or (None,):
                self._looks.labels("whole" if look is None else look.reason).inc()
            self._invoke.observe(timings.invoke_ms / 1e3)
            self._decode.observe(timings.decode_ms / 1e3)
        self._latency.observe(timings.latency_ms / 1e3)
        for class_id, count in Tally(result.detections.class_id.tolist()).items():
            label = result.labels.get(class_id, str(class_id))
            self._detections.labels(self._known(label)).inc(count)

    def _begin_at_zero(self, labels: Iterable[str]) -> None:
        """Show the counters of these labels: a first count without a zero is no increase."""
        for label in labels:
            known = self._known(label)
            self._detections.labels(known)
            for phase in _PHASES:
                self._events.labels(known, phase)

    def _known(self, label: str) -> str:
        """The label, or ``other`` where there are too many: a series stays for the whole run."""
        if label not in self._labels:
            if len(self._labels) >= MOST_LABELS:
                return "other"
            self._labels.add(label)
        return label


class _Registry(CollectorRegistry):
    """A registry whose samples all carry some labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        super().__init__()
        self._common = labels

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [
                sample._replace(labels={**self._common, **sample.labels})
                for sample in metric.samples
            ]
            yield metric


def _utf8(name: str) -> str:
    """A name that can be written; bytes of a file's name that are not UTF-8 become an escape."""
    return name.encode("utf-8", "backslashreplace").decode()


def _gauge(name: str, meaning: str, value: float | None, factor: float) -> Metric:
    """A gauge; without a sample where the value is not known."""
    scaled = None if value is None else value * factor
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, scaled)


def _gauges(name: str, meaning: str, label: str, values: Mapping[str, bool | None]) -> Metric:
    """A gauge of 0 or 1 for each value of a label; without those that are not known."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=(label,))
    for key, value in values.items():
        if value is not None:
            family.add_metric((key,), value)
    return family
