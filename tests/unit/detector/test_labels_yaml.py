"""Labels in YAML, as YOLO's data sets and exports have them; hostile files are one error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_detector.detector.labels import parse_labels
from pi_detector.errors import BadLabelsError

NAMES = ["person", "traffic light", "dog"]


def parse(text, count=3, place="data.yaml"):
    return parse_labels(text.encode(), place, count)


@pytest.mark.parametrize(
    "text",
    [
        "path: ../coco\nnc: 3\nnames: ['person', 'traffic light', dog]\n",
        "names:\n  0: person\n  1: traffic light  # red, too\n  2: dog\n",
        "names:\n- person\n- traffic light\n- dog\nroboflow:\n  licence: MIT\n",
        "# exported\nnames: {2: dog, 0: person, 1: 'traffic light'}\ntask: detect\n",
        "- person\n- traffic light\n- dog\n",
        "\ufeffnames:\n  - person\n  - traffic light\n  - dog\n",
    ],
)
def test_forms(text):
    assert parse(text) == NAMES
    assert parse(text, None, "metadata.yml") == NAMES


def test_a_number_is_a_label_too():
    assert parse("names: [0, 1, '2']") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [yes, no, maybe]", "class 0 in 'names' is no text for YAML; put it in quotes"),
        ("names: [a, ~, c]", "class 1 in 'names'"),
        ("names: [a, [b], c]", "class 1 in 'names'"),
        ("names: {0: a, 2: b, 3: c}", "do not count from 0 without gaps"),
        ("names: {a: 0, b: 1, c: 2}", "a class that is no number"),
        ("names: {0: a, 0: b, 1: c}", "or one twice"),
        ("nc: 3\n", "has no list 'names'"),
        ("names: person", "has no list 'names'"),
        ("", "has no list 'names'"),
        ("names: [a, b", "not YAML"),
        ("names: [a, b]", "has 2 labels, the model has 3 classes"),
        ("names: [a, b, c, d]", "has 4 labels, the model has 3 classes"),
        ("[" * 100_000, "not YAML"),
        ("names: [a]\n" * 30_000, "too large"),
    ],
)
def test_what_has_another_meaning_or_none_is_refused(text, message):
    with pytest.raises(BadLabelsError, match=message):
        parse(text)


def test_references_of_references_stay_small():
    """Nine levels of ten: a billion labels, were they merged."""
    lines = ["a0: &a0 {x: person}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    with pytest.raises(BadLabelsError, match="no number"):
        parse("\n".join([*lines, "names: *a9"]))


@given(st.text(alphabet="names:- []{}01&*!|>'\"\n\tab#", max_size=60))
def test_anything_is_labels_or_one_error(text):
    names, message = None, ""
    try:
        names = parse(text, None)
    except BadLabelsError as error:
        message = str(error)
    if names is None:
        assert message.startswith("data.yaml: ")
    else:
        assert names
        assert all(name == name.strip() != "" for name in names)
