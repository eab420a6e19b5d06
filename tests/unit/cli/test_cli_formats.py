"""What `detect` writes: COCO results and tables."""

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pi_detector.cli.formats import CocoResults, Table, from_annotations, numbered
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result, Timings
from pi_detector.errors import BadImageError, BadLabelsError, SourceNotFoundError

LABELS = {1: "person", 3: "car"}


def result(path: str, rows: list[tuple[float, float, float, float, float, int]]) -> Result:
    image = np.zeros((48, 64, 3), np.uint8)
    frame = Frame(image, 7, time.monotonic_ns(), datetime.now(UTC), "clip.mkv", path=path)
    table = np.array(rows, np.float32).reshape(-1, 6)
    found = Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))
    return Result(frame, found, LABELS, Timings(1.0, 20.0, 0.5, 22.0))


def written(sink, *results: Result) -> str:
    sink.start()
    for one in results:
        sink.handle(one)
    sink.close()
    return sink._out.getvalue()


def test_coco_boxes_are_corner_and_size() -> None:
    sink = CocoResults(io.StringIO(), numbered([Path("x/a.jpg"), Path("x/b.jpg")]))
    rows = json.loads(written(sink, result("x/b.jpg", [(2, 3, 12, 33, 0.75, 3)])))
    assert rows == [
        {
            "image_id": 2,
            "file_name": "b.jpg",
            "category_id": 3,
            "bbox": [2.0, 3.0, 10.0, 30.0],
            "score": 0.75,
        }
    ]


def test_coco_is_json_with_no_results_and_with_several() -> None:
    image_of = numbered([Path("a.jpg"), Path("b.jpg")])
    assert json.loads(written(CocoResults(io.StringIO(), image_of), result("a.jpg", []))) == []
    box = (0, 0, 1, 1, 0.5, 1)
    several = written(
        CocoResults(io.StringIO(), image_of), result("a.jpg", [box, box]), result("b.jpg", [box])
    )
    assert [row["image_id"] for row in json.loads(several)] == [1, 1, 2]


def test_annotations_give_the_ids(tmp_path: Path) -> None:
    annotations = tmp_path / "val.json"
    images = [{"id": 40, "file_name": "a.jpg"}, {"id": 7, "file_name": "night/a.jpg"}]
    annotations.write_text(json.dumps({"images": images}))
    image_of = from_annotations(annotations)
    assert image_of("/data/val/a.jpg") == (40, "a.jpg")
    assert image_of("/data/night/a.jpg") == (7, "night/a.jpg")
    with pytest.raises(BadImageError, match=r"b\.jpg: not in "):
        image_of("/data/val/b.jpg")


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{"id": 1}]}', '{"images": 3}'])
def test_annotations_of_another_kind(tmp_path: Path, content: str) -> None:
    annotations = tmp_path / "val.json"
    annotations.write_text(content)
    with pytest.raises(BadLabelsError, match="not COCO annotations"):
        from_annotations(annotations)


def test_annotations_absent(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="cannot read"):
        from_annotations(tmp_path / "none.json")


def test_table_columns_line_up() -> None:
    rows = [(2, 3, 12, 33, 0.75, 3), (20, 3, 31, 33, 0.5, 1)]
    lines = written(Table(io.StringIO()), result("x/a.jpg", rows)).splitlines()
    assert lines == [
        "x/a.jpg  64x48  2 objects",
        "  car     0.75       2      3     12     33",
        "  person  0.50      20      3     31     33",
        "1 frame, 2 objects: 1 car, 1 person; inference 20.0 ms per frame",
    ]


def test_table_leaves_out_empty_frames_of_a_video_only() -> None:
    text = written(Table(io.StringIO()), result("x/clip.mkv", []), result("x/a.jpg", []))
    assert text.splitlines()[0] == "x/a.jpg  64x48  0 objects"
    box = (2, 3, 12, 33, 0.75, 3)
    assert written(Table(io.StringIO()), result("x/clip.mkv", [box])).startswith(
        "x/clip.mkv frame 7  "
    )
