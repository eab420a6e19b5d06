from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import jsonschema
import msgspec
import pytest
import valid
from hypothesis import given
from recorded_rows import ANY_ROWS, a_result, found, unhurried

from pi_detector.core.records import SCHEMA_VERSION, Record, detections_record, encode
from pi_detector.core.schema import json_schema


def published(record: Record) -> dict[str, Any]:
    """What a reader sees: parsed, and valid by the schema."""
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return valid.record(line)


def test_a_detections_record_says_what_was_found() -> None:
    record = published(detections_record(a_result(found((64, 48, 320, 240, 0.87654, 1)))))
    assert record == {
        "type": "detections",
        "sequence": 42,
        "time": "2026-11-24T02:03:04.123456Z",
        "clock_synchronized": record["clock_synchronized"],
        "monotonic_ns": 1_234_567_890,
        "source": "demo",
        "frame": {"width": 640, "height": 480},
        "detections": [
            {
                "label": "person",
                "class_id": 1,
                "score": 0.8765,
                "box_px": [64, 48, 320, 240],
                "box": [0.1, 0.1, 0.5, 0.5],
            }
        ],
        "timings_ms": {"preprocess": 1.235, "invoke": 2, "decode": 0.5, "latency": 40},
        "dropped": 3,
        "path": None,
        "version": SCHEMA_VERSION,
    }


def test_a_frame_that_the_detector_did_not_look_at_says_so() -> None:
    record = published(detections_record(replace(a_result(), inferred=False)))
    assert record["inferred"] is False
    assert "inferred" not in published(detections_record(a_result()))


def test_a_class_without_a_label_is_named_by_its_id() -> None:
    record = published(detections_record(a_result(found((0, 0, 1, 1, 0.5, 77)))))
    assert record["detections"][0]["label"] == "77"


def test_a_local_time_keeps_its_offset() -> None:
    moment = datetime(2026, 11, 24, 3, 3, 4, tzinfo=timezone(timedelta(hours=1)))
    record = published(detections_record(a_result(captured_at=moment)))
    assert datetime.fromisoformat(record["time"]) == moment


def test_a_file_name_that_is_not_utf8_is_published_escaped() -> None:
    path = b"/pictures/caf\xe9.jpg".decode("utf-8", "surrogateescape")
    record = published(detections_record(a_result(path=path, source=path)))
    assert record["path"] == record["source"] == r"/pictures/caf\udce9.jpg"


@unhurried
@given(ANY_ROWS)
def test_any_detections_give_a_valid_record_that_decodes(rows: list[Any]) -> None:
    record = detections_record(a_result(found(*rows)))
    assert len(published(record)["detections"]) == len(rows)
    assert msgspec.json.decode(encode(record), type=Record) == record


@pytest.mark.parametrize(
    ("key", "value"),
    [("version", 2), ("type", "event"), ("time", 3), ("detections", [{"label": "x"}])],
)
def test_the_schema_refuses_other_records(key: str, value: Any) -> None:
    record = published(detections_record(a_result()))
    validator = jsonschema.Draft202012Validator(json_schema())
    assert not validator.is_valid({**record, key: value})
    assert not validator.is_valid({name: item for name, item in record.items() if name != key})


def test_the_schema_says_that_times_are_date_times() -> None:
    time = json_schema()["$defs"]["DetectionsRecord"]["properties"]["time"]
    assert time == {"type": "string", "format": "date-time"}
