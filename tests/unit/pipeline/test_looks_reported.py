"""What is said of the looks at frames: meter, metrics, page and records."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from results import a_result

from pi_detector.core.looks import Look
from pi_detector.core.records import detections_record, encode
from pi_detector.core.result import Result
from pi_detector.core.schema import json_schema
from pi_detector.sinks.web.overview import Watch
from pi_detector.telemetry.meter import Meter
from pi_detector.telemetry.metrics import Metrics
from pi_detector.telemetry.monitor import FlowTotals, RunState

WHOLE, CROP = Look.whole(64, 48), Look(10, 4, 32, 32, "motion")


def looked(*looks: Look) -> Result:
    return replace(a_result(), looks=looks)


def test_the_meter_counts_looks_by_their_reason() -> None:
    meter = Meter()
    assert meter.take_all()[1] is None
    for result in (looked(WHOLE, CROP), looked(CROP), a_result()):
        meter.handle(result)
    stages, looks = meter.take_all()
    assert looks == {"whole": 1, "motion": 2}
    assert stages.invoke is not None
    assert stages.invoke.count == 3
    assert meter.take_all()[1] is None


def test_metrics_count_each_run_of_the_model() -> None:
    metrics = Metrics("", lambda: RunState(FlowTotals(), "demo", True, "street", "litert", 0))
    for result in (looked(WHOLE, CROP), a_result(), replace(a_result(), inferred=False)):
        metrics.handle(result)
    text = metrics.text().decode()
    assert 'pi_detector_looks_total{reason="whole"} 2.0' in text
    assert 'pi_detector_looks_total{reason="motion"} 1.0' in text


def test_the_page_says_how_many_looks_frames_took_and_why() -> None:
    watch = Watch()

    def looks() -> object:
        return watch.overview(viewers=0, max_viewers=1, places="", login=False, name="").looks

    watch.note(a_result())
    assert looks() is None
    watch.note(looked(WHOLE, CROP))
    watch.note(looked(CROP))
    assert msgspec.to_builtins(looks()) == {
        "per_frame": 1.5,
        "reasons": {"whole": 1, "motion": 2},
    }


def test_a_record_names_the_looks_only_where_there_are_several_or_parts() -> None:
    record = msgspec.json.decode(encode(detections_record(looked(WHOLE, CROP))))
    assert record["looks"] == [
        {"reason": "whole", "box_px": [0, 0, 64, 48]},
        {"reason": "motion", "box_px": [10, 4, 42, 36]},
    ]
    assert "looks" not in msgspec.json.decode(encode(detections_record(a_result())))
    fields = json_schema()["$defs"]["DetectionsRecord"]
    assert "looks" in fields["properties"]
    assert "looks" not in fields["required"]
