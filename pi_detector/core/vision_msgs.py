"""Detections as ROS 2 knows them: ``vision_msgs/msg/Detection2DArray``, a message as JSON.

The fields are those of the package vision_msgs of ROS 2 Humble and Jazzy (version 4), and of the
messages of std_msgs and geometry_msgs in it, all of them, so that a message can be filled from it
by name. Source: https://github.com/ros-perception/vision_msgs
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from pi_detector.core.boxes import BoxPx
from pi_detector.core.records import DetectionsRecord

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]
Covariance = Annotated[tuple[float, ...], msgspec.Meta(min_length=36, max_length=36)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = msgspec.json.Encoder()


class Time(msgspec.Struct, frozen=True):
    """builtin_interfaces/Time: since 1970, UTC."""

    sec: Int32
    nanosec: Nanoseconds


class Header(msgspec.Struct, frozen=True):
    """std_msgs/Header: when the frame was captured, and by which source."""

    stamp: Time
    frame_id: str


class Point2D(msgspec.Struct, frozen=True):
    """vision_msgs/Point2D: pixels from the left and the top."""

    x: float
    y: float


class Pose2D(msgspec.Struct, frozen=True):
    """vision_msgs/Pose2D; ``theta`` is 0, boxes are upright."""

    position: Point2D
    theta: float = 0.0


class BoundingBox2D(msgspec.Struct, frozen=True):
    """vision_msgs/BoundingBox2D: a box by its centre and size, in pixels."""

    center: Pose2D
    size_x: float
    size_y: float


class Point(msgspec.Struct, frozen=True):
    """geometry_msgs/Point."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Quaternion(msgspec.Struct, frozen=True):
    """geometry_msgs/Quaternion: no rotation."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0


class Pose(msgspec.Struct, frozen=True):
    """geometry_msgs/Pose."""

    position: Point = Point()
    orientation: Quaternion = Quaternion()


class PoseWithCovariance(msgspec.Struct, frozen=True):
    """geometry_msgs/PoseWithCovariance: zeros, where in space an object is is not known."""

    pose: Pose = Pose()
    covariance: Covariance = (0.0,) * 36


class ObjectHypothesis(msgspec.Struct, frozen=True):
    """vision_msgs/ObjectHypothesis; ``class_id`` is the label."""

    class_id: str
    score: float


class ObjectHypothesisWithPose(msgspec.Struct, frozen=True):
    """vision_msgs/ObjectHypothesisWithPose."""

    hypothesis: ObjectHypothesis
    pose: PoseWithCovariance = PoseWithCovariance()


class Detection2D(msgspec.Struct, frozen=True):
    """vision_msgs/Detection2D; ``id`` is the track id, empty where there is none."""

    header: Header
    results: tuple[ObjectHypothesisWithPose]
    bbox: BoundingBox2D
    id: str


class Detection2DArray(msgspec.Struct, frozen=True):
    """vision_msgs/Detection2DArray: what was found in one frame."""

    header: Header
    detections: list[Detection2D]


def detection_2d_array(record: DetectionsRecord) -> Detection2DArray:
    """The message of a processed frame."""
    header = Header(_stamp(record.time), record.source)
    return Detection2DArray(
        header,
        [
            Detection2D(
                header,
                (ObjectHypothesisWithPose(ObjectHypothesis(found.label, found.score)),),
                _bounding_box(found.box_px),
                "" if found.track_id is None else str(found.track_id),
            )
            for found in record.detections
        ],
    )


def encode(record: DetectionsRecord) -> bytes:
    """One line of JSON, newline included."""
    return _encoder.encode(detection_2d_array(record)) + b"\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the messages."""
    schema = msgspec.json.schema(Detection2DArray)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "vision_msgs/msg/Detection2DArray"
    for definition in schema["$defs"].values():  # what has a default is there as well
        definition["required"] = list(definition["properties"])
    return schema


def _stamp(moment: datetime) -> Time:
    sec, rest = divmod(moment - _EPOCH, timedelta(seconds=1))
    return Time(sec, rest // timedelta(microseconds=1) * 1000)


def _bounding_box(box_px: BoxPx) -> BoundingBox2D:
    x1, y1, x2, y2 = box_px
    center = Point2D(round((x1 + x2) / 2, 2), round((y1 + y2) / 2, 2))
    return BoundingBox2D(Pose2D(center), round(x2 - x1, 1), round(y2 - y1, 1))
