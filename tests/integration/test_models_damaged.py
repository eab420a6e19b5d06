"""Damaged and hostile model files: a bundle or one error, never a crash, within bounds."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import pi_detector
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import changed, constant_model, with_files
from test_models_import import NHWC, SHOWN, SIZE, said
from yolo_heads import yolov8_head

from pi_detector.detector.foreign.making import import_model
from pi_detector.detector.labels import parse_labels
from pi_detector.detector.tflite_file import read_facts
from pi_detector.detector.tflite_metadata import read_own_words
from pi_detector.errors import BadLabelsError, BadModelError, PiDetectorError

BARE = constant_model(NHWC, {"out": yolov8_head(SIZE, 3, SHOWN)})
MODEL = with_files(
    BARE,
    metadata_json=said(),
    labelmap_txt="person\ndog\ngate",
)
HEAD, TAIL = 600, 700


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The model with some bytes changed where its structure lies, and perhaps cut off."""
    data = bytearray(MODEL)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, HEAD - 1) | st.integers(len(MODEL) - TAIL, len(MODEL) - 5))
        word = draw(st.binary(min_size=1, max_size=4) | st.just(struct.pack("<i", -1)))
        data[at : at + len(word)] = word
    return bytes(data[: draw(st.just(len(data)) | st.integers(0, len(data)))])


@settings(deadline=None, max_examples=400)
@given(damaged())
def test_what_is_read_of_a_damaged_file_is_facts_or_nothing(model: bytes) -> None:
    read_facts(model)
    words = read_own_words(model)
    assert words.labels is None or len(words.labels[1]) <= 4 << 20


@settings(deadline=None, max_examples=12)
@given(damaged())
def test_a_damaged_model_is_a_bundle_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, model: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "best.tflite").write_bytes(model)
    message = ""
    try:
        import_model(folder / "best.tflite", folder / "yard")
    except PiDetectorError as error:
        message = str(error) or "no message"
    assert "\n" not in message
    left = sorted(each.name for each in folder.iterdir())
    assert left == (["best.tflite"] if message else ["best.tflite", "yard"])


def test_a_tensor_that_no_device_holds(tmp_path: Path) -> None:
    def huge(model: Any, schema: Any) -> None:
        model.subgraphs[0].tensors[0].shape = np.asarray([1, 60_000, 60_000, 3], np.int32)

    (tmp_path / "best.tflite").write_bytes(changed(MODEL, huge))
    with pytest.raises(BadModelError, match=r"has a tensor of 1\.1e\+10 elements"):
        import_model(tmp_path / "best.tflite", tmp_path / "yard")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    with pytest.raises(BadModelError, match="is not a file of at most 512 MB"):
        import_model(tmp_path / "pipe.tflite", tmp_path / "yard")
    with pytest.raises(BadModelError, match="is not a file of at most 512 MB"):
        import_model(Path("/dev/zero"), tmp_path / "yard")
    with (tmp_path / "large.tflite").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadModelError, match="is not a file of at most 512 MB"):
        import_model(tmp_path / "large.tflite", tmp_path / "yard")


@pytest.mark.parametrize(
    "names",
    [
        '{"0": {"a": 1}}',
        "[[[]]]",
        "17",
        '{"0": "a", "x": "b", "2": "c"}',
        '["a", null, "c"]',
        '["a", "b", "\\ud800"]',
    ],
)
def test_names_in_the_model_that_are_none(tmp_path: Path, names: str) -> None:
    model = with_files(BARE, metadata_json=f'{{"names": {names}}}')
    (tmp_path / "best.tflite").write_bytes(model)
    with pytest.raises((BadLabelsError, BadModelError)):
        import_model(tmp_path / "best.tflite", tmp_path / "yard")


@pytest.mark.parametrize("text", ["(" * 100_000, "{'names': [" * 9_000, "\0", "1" * 5_000])
def test_a_table_that_is_none_is_left_out(text: str) -> None:
    for name in ("metadata_json", "temp_meta_txt"):
        assert read_own_words(with_files(BARE, **{name: text})).table == {}


@settings(max_examples=300)
@given(
    st.binary(max_size=60)
    | st.text(alphabet="0123 :,;a\n\r\t\ufeff#?", max_size=40).map(str.encode),
    st.sampled_from(["txt", "pbtxt", "json", "csv", "yaml"]),
    st.none() | st.integers(1, 4),
)
def test_a_file_of_labels_is_as_many_labels_or_one_error(
    data: bytes, suffix: str, classes: int | None
) -> None:
    names, message = None, ""
    try:
        names = parse_labels(data, f"labels.{suffix}", classes)
    except BadLabelsError as error:
        message = str(error)
    if names is None:
        assert message.startswith(f"labels.{suffix}: ")
    else:
        assert len(names) == (classes or len(names))


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\n\x1b[31m", b""])
def test_tensors_with_strange_names(tmp_path: Path, name: bytes) -> None:
    def rename(model: Any, schema: Any) -> None:
        model.subgraphs[0].tensors[1].name = name

    model = with_files(changed(BARE, rename), metadata_json=said())
    (tmp_path / "best.tflite").write_bytes(model)
    done = pi_detector("models", "import", tmp_path / "best.tflite", "--out", tmp_path / "yard")
    assert done.returncode in {0, 65}, done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xffbest\n.tflite")
    path.write_bytes(MODEL)
    import_model(path, tmp_path / os.fsdecode(b"ya\xffrd"))
