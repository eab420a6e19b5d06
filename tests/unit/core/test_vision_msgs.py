"""Messages for ROS 2: the fields that its message definitions have, all of them and no others."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from recorded_rows import ANY_ROWS, a_result, found, unhurried

from pi_detector.core.geometry import Detections
from pi_detector.core.records import detections_record
from pi_detector.core.vision_msgs import encode, json_schema

# Fields by message, as the definitions of ROS 2 Humble and Jazzy have them (std_msgs,
# geometry_msgs, builtin_interfaces, and vision_msgs 4).
MESSAGES = {
    "Time": {"sec": "int32", "nanosec": "uint32"},
    "Header": {"stamp": "Time", "frame_id": "string"},
    "Point": {"x": "float64", "y": "float64", "z": "float64"},
    "Quaternion": {"x": "float64", "y": "float64", "z": "float64", "w": "float64"},
    "Pose": {"position": "Point", "orientation": "Quaternion"},
    "PoseWithCovariance": {"pose": "Pose", "covariance": "float64[36]"},
    "Point2D": {"x": "float64", "y": "float64"},
    "Pose2D": {"position": "Point2D", "theta": "float64"},
    "BoundingBox2D": {"center": "Pose2D", "size_x": "float64", "size_y": "float64"},
    "ObjectHypothesis": {"class_id": "string", "score": "float64"},
    "ObjectHypothesisWithPose": {"hypothesis": "ObjectHypothesis", "pose": "PoseWithCovariance"},
    "Detection2D": {
        "header": "Header",
        "results": "ObjectHypothesisWithPose[]",
        "bbox": "BoundingBox2D",
        "id": "string",
    },
    "Detection2DArray": {"header": "Header", "detections": "Detection2D[]"},
}
SCALARS = {
    "int32": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "uint32": lambda value: type(value) is int and 0 <= value < 2**32,
    "float64": lambda value: type(value) is float and math.isfinite(value),
    "string": lambda value: type(value) is str,
}


def check(value: Any, kind: str) -> None:
    """Whether a value is what a message definition says, recursively."""
    if kind.endswith("]"):
        kind, _, count = kind.removesuffix("]").partition("[")
        assert isinstance(value, list)
        assert not count or len(value) == int(count)
        for each in value:
            check(each, kind)
    elif kind in SCALARS:
        assert SCALARS[kind](value), (kind, value)
    else:
        assert value.keys() == MESSAGES[kind].keys(), kind
        for name, inner in MESSAGES[kind].items():
            check(value[name], inner)


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def message(detections: Detections, **changes: Any) -> dict[str, Any]:
    """The message of a frame: valid by the schema, and by the definitions."""
    line = encode(detections_record(a_result(detections, **changes)))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    parsed: dict[str, Any] = json.loads(line)
    validator().validate(parsed)
    check(parsed, "Detection2DArray")
    return parsed


def test_a_box_is_told_by_its_centre_and_size_in_pixels() -> None:
    boxes = found((64, 48, 320, 240, 0.87654, 1))
    boxes = Detections(boxes.xyxy, boxes.score, boxes.class_id, np.array([17]))
    header = {"stamp": {"sec": 1795485784, "nanosec": 123456000}, "frame_id": "demo"}
    told = message(boxes)
    assert told["header"] == header
    (one,) = told["detections"]
    assert one["header"] == header
    assert one["bbox"] == {
        "center": {"position": {"x": 192, "y": 144}, "theta": 0},
        "size_x": 256,
        "size_y": 192,
    }
    (result,) = one["results"]
    assert result["hypothesis"] == {"class_id": "person", "score": 0.8765}
    assert result["pose"]["pose"]["orientation"] == {"x": 0, "y": 0, "z": 0, "w": 1}
    assert one["id"] == "17"


def test_without_a_tracker_the_id_is_empty() -> None:
    (one,) = message(found((0, 0, 10, 10, 0.5, 2)))["detections"]
    assert one["id"] == ""


@pytest.mark.parametrize(
    ("moment", "sec", "nanosec"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0, 0),
        (datetime(1969, 12, 31, 23, 59, 59, 250000, UTC), -1, 250_000_000),
        (datetime(2038, 1, 19, 3, 14, 7, 999999, UTC), 2**31 - 1, 999_999_000),
    ],
)
def test_the_stamp_is_exact(moment: datetime, sec: int, nanosec: int) -> None:
    assert message(found(), captured_at=moment)["header"]["stamp"] == {
        "sec": sec,
        "nanosec": nanosec,
    }


@unhurried
@given(ANY_ROWS)
def test_any_detections_give_a_valid_message(rows: list[Any]) -> None:
    assert len(message(found(*rows))["detections"]) == len(rows)


def test_the_schema_refuses_what_is_no_message() -> None:
    told = message(found((0, 0, 10, 10, 0.5, 2)))
    told["detections"][0]["results"][0]["pose"]["covariance"].pop()
    assert not validator().is_valid(told)
    del told["detections"][0]
    assert validator().is_valid(told)
    del told["header"]["frame_id"]
    assert not validator().is_valid(told)
