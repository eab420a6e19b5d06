"""Whatever files hold, the readers give a data set, or a DatasetError."""

import json
import struct
from contextlib import nullcontext, suppress
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import cv2
import numpy as np
import pytest
from drawn import (
    TENSORFLOW_FILE,
    draw,
    framed,
    voc_xml,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy.data.dataset import DatasetError, load_coco
from deploy.data.formats import ReadOptions, open_source
from deploy.data.formats.base import Item, photo_facts
from deploy.data.formats.voc import parse_xml
from deploy.data.formats.yolo import parse_line
from deploy.data.formats.yolo_config import read_config

WILD = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class TestCoco:
    @WILD
    @given(data=st.binary() | st.text().map(str.encode))
    def test_wild_bytes(self, data, tmp_path):
        self.read(data, tmp_path)

    @WILD
    @given(
        content=st.fixed_dictionaries(
            {
                key: st.lists(
                    st.dictionaries(
                        st.sampled_from(
                            [
                                "id",
                                "file_name",
                                "name",
                                "bbox",
                                "image_id",
                                "category_id",
                                "labelled",
                                "iscrowd",
                                "width",
                            ]
                        ),
                        st.integers(0, 3)
                        | st.text(max_size=3)
                        | st.none()
                        | st.lists(st.floats(), min_size=4, max_size=4),
                    )
                )
                for key in ("images", "annotations", "categories")
            }
        )
    )
    def test_wild_content(self, content, tmp_path):
        self.read(json.dumps(content).encode(), tmp_path)

    def read(self, data, tmp_path):
        file = tmp_path / "wild.json"
        file.write_bytes(data)
        with pytest.raises(DatasetError, match=r"wild\.json"):  # It lists no photo that exists.
            load_coco(file, tmp_path)


class TestWild:
    """Whatever the files hold: a data set, or a DatasetError."""

    @WILD
    @given(data=st.binary() | st.text().map(str.encode))
    @example(data=b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>")
    @example(data=b"<?xml version='1.0' encoding='no-such'?><a/>")
    @example(data="<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16"))
    def test_xml(self, data, tmp_path):
        with pytest.raises(DatasetError) if not _well_formed(data) else _nothing():
            parse_xml(data, tmp_path / "wild.xml")

    @WILD
    @given(
        name=st.text(max_size=10),
        number=st.text(max_size=6) | st.floats().map(str) | st.integers().map(str),
        size=st.text(max_size=4) | st.integers(-9, 99).map(str),
    )
    @example(name="x/../../one.png", number="3", size="")
    @example(name="a" * 400 + ".png", number="3", size="64")
    @example(name="one.png\0", number="3", size="64")
    def test_voc(self, name, number, size, tmp_path):
        draw(tmp_path)
        text = voc_xml("NAME", (1, 2), [("car", (0, 0, 1, 1))])
        for old, new in (("NAME", name), ("<xmax>1<", f"<xmax>{number}<"), (">1<", f">{size}<")):
            text = text.replace(old, escape(new) if old == "NAME" else new)
        self.read(tmp_path / "one.xml", text.encode("utf-8", "replace"))

    @WILD
    @given(
        line=st.text() | st.lists(st.floats() | st.integers()).map(lambda v: " ".join(map(str, v)))
    )
    def test_yolo_lines(self, line):
        for each in line.splitlines():
            if each.strip():
                try:
                    box = parse_line(each, {0: "car"}, (64, 48), "wild.txt:1")
                except DatasetError:
                    continue
                assert np.isfinite(box.xyxy).all()

    @WILD
    @given(text=st.text() | st.binary() | st.text(alphabet="[]{}:,-&*!? \nnames0a"))
    @example(text="names: " + "[" * 1200)
    @example(text="names: !!timestamp x")
    @example(text="names: {a: b}")
    @example(text="? [a]\n: b")
    def test_yolo_config(self, text, tmp_path):
        file = tmp_path / "data.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
        try:
            names = read_config(file)["names"]
        except DatasetError:
            return
        assert all(isinstance(n, int) and isinstance(v, str) for n, v in names.items())

    @WILD
    @given(place=st.text() | st.lists(st.text()), names=st.lists(st.text(min_size=1), min_size=1))
    def test_yolo_folders(self, place, names, tmp_path):
        config = json.dumps({"train": place, "names": names})
        self.read(tmp_path / "data.yaml", config.encode())

    @WILD
    @given(data=st.binary())
    def test_records(self, data, tmp_path):
        self.read(tmp_path / "wild.tfrecord", data)
        self.read(tmp_path / "wild.tfrecord", framed(data))

    @WILD
    @given(place=st.integers(0, len(TENSORFLOW_FILE) - 1), value=st.integers(0, 255))
    def test_records_damaged_within(self, place, value, tmp_path):
        length = struct.unpack("<Q", TENSORFLOW_FILE[:8])[0]
        record = bytearray(TENSORFLOW_FILE[12 : 12 + length])
        record[place % length] = value
        self.read(tmp_path / "wild.tfrecord", framed(bytes(record)))

    @WILD
    @given(text=st.text() | st.text(alphabet="item{}: id'\nname01"))
    @example(text="item { keypoints " + "{ a " * 5000)
    def test_label_maps(self, text, tmp_path):
        (tmp_path / "label_map.pbtxt").write_bytes(text.encode("utf-8", "replace"))
        self.read(tmp_path / "wild.tfrecord", TENSORFLOW_FILE)

    @WILD
    @given(data=st.data(), kind=st.sampled_from([".jpg", ".png", ".bmp", ".webp"]))
    def test_photos(self, data, kind):
        photo = bytearray(cv2.imencode(kind, np.zeros((9, 9, 3), np.uint8))[1].tobytes())
        for _ in range(3):
            photo[data.draw(st.integers(0, len(photo) - 1))] = data.draw(st.integers(0, 255))
        try:
            (width, height), _ = photo_facts(bytes(photo), "wild")
        except DatasetError:
            return
        assert width > 0
        assert height > 0

    def read(self, file, data):
        file.write_bytes(data)
        try:
            items = list(open_source(file, ReadOptions()).items)
        except DatasetError:
            return
        photos = [item for item in items if isinstance(item, Item)]
        assert all(np.isfinite(box.xyxy).all() for item in photos for box in item.boxes)


def _well_formed(data):
    with suppress(ElementTree.ParseError, ValueError, LookupError):
        ElementTree.fromstring(data)
        return b"<!DOCTYPE" not in data
    return False


def _nothing():
    return nullcontext()
