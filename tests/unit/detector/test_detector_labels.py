"""Files of labels in the forms that people have: read as they are meant, or refused."""

from __future__ import annotations

import json

import pytest

from pi_detector.detector.labels import NAMELESS, check_count, parse_labels
from pi_detector.errors import BadLabelsError

NAMES = ["person", "bicycle", "car", "dog"]
LINES = "\n".join(NAMES) + "\n"
PBTXT = """
# a comment
item {
  name: "/m/01g317"
  id: 1
  display_name: "person"
}
item { id: 2, name: 'bicycle' }
item: {
  id: 3
  name: "car"
}
"""


def parse(text: str | bytes, place: str = "labels.txt", count: int | None = 4) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_labels(data, place, count)


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES.replace("\n", "\r\n"),
        "\ufeff" + LINES,
        LINES.encode("utf-16"),
        LINES + "\n\n\n",
        LINES.replace("\n", "\n\n"),  # blank lines between: four classes have no room for gaps
        "# labels of our model\n" + LINES,
        *(f"{first}\n{LINES}" for first in ("unlabeled", "Background", "???", "__background__")),
        f"\ufeff???\n{LINES}",
        f"none\n{LINES}",
        f"\n{LINES}",
        "0 person\n1 bicycle\n2 car\n3 dog\n",
        "0  person\n1  bicycle\n2  car\n3  dog",
        "1: person\n2: bicycle\n3: car\n4: dog\n",
        "3 dog\n2 car\n1 bicycle\n0 person\n",
        "0 background\n1 person\n2 bicycle\n3 car\n4 dog\n",
        "0,none\n1,person\n2,bicycle\n3,car\n4,dog\n",
    ],
)
def test_lines(text: str | bytes) -> None:
    assert parse(text) == NAMES


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("person\n\ncar\ndog\n", 4),
        ("background\nperson\n\ncar\ndog\n", 4),
        ("person\n???\ncar\ndog\n", 4),
        ("person\nn/a\ncar\ndog\n", 4),
        ("0 person\n2 car\n3 dog\n", 4),
        ("1 person\n3 car\n4 dog\n", 4),
        ("0 person\n2 car\n3 dog\n", None),
    ],
)
def test_gaps_keep_their_place(text: str, count: int | None) -> None:
    assert parse(text, count=count) == ["person", NAMELESS, "car", "dog"]


@pytest.mark.parametrize(
    "tree",
    [
        NAMES,
        ["background", *NAMES],
        dict(enumerate(NAMES)),
        dict(enumerate(NAMES, 1)),
        {name: index for index, name in enumerate(NAMES)},
        {"categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, 1)]},
        [{"id": n, "name": name, "supercategory": "x"} for n, name in enumerate(NAMES)],
    ],
)
def test_json(tree: object) -> None:
    assert parse(json.dumps(tree), "labels.json") == NAMES


@pytest.mark.parametrize(
    "text",
    [
        "id,name\n0,person\n1,bicycle\n2,car\n3,dog\n",
        'name,id\n"person",1\n"bicycle",2\ncar,3\ndog,4\n',
        "1,person\n2,bicycle\n3,car\n4,dog\n",
        LINES,
    ],
)
def test_csv(text: str) -> None:
    assert parse(text, "labels.csv") == NAMES


@pytest.mark.parametrize("place", ["label_map.pbtxt", "labels.txt"])
def test_pbtxt(place: str) -> None:
    assert parse(PBTXT, place, 3) == NAMES[:3]
    assert parse(PBTXT + 'item { id: 5 name: "dog" }', place, 5) == [*NAMES[:3], NAMELESS, "dog"]
    background = 'item { id: 0 name: "background" }'
    assert parse(background + PBTXT, place, 3) == NAMES[:3]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (LINES + "cat\n", "labels.txt", "has 5 labels, the model has 4 classes; if 'person' is"),
        ("person\ncar\n", "labels.txt", "has 2 labels, the model has 4 classes"),
        ("???\nperson\ncar\ndog\n", "labels.txt", "has 3 labels after '[?]+', the model has 4"),
        ("person\n\ncar\n", "labels.txt", "has 2 labels"),
        ("// ours\n" + LINES, "labels.txt", "has 5 labels"),
        ("1 person\n2 bicycle\n3 car\n", "labels.txt", "from 1 to 3, the model has 4"),
        ("5 person\n6 bicycle\n7 car\n8 dog\n", "labels.txt", "from 5 to 8, the model has 4"),
        ("", "labels.txt", "labels.txt: empty"),
        ("# nothing\n\n", "labels.txt", "labels.txt: empty"),
        (b"\xffcaf\xe9\n", "labels.txt", "not UTF-8 text"),
        (b"a\0b\n", "labels.txt", "not a text file"),
        ("<!DOCTYPE html>\n<html>\n", "labels.txt", "a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "l.txt", "Git LFS pointer"),
        ("{", "labels.json", "not JSON"),
        ('{"person": "dog"}', "labels.json", "neither a list nor a table of labels"),
        ('[{"id": 1}]', "labels.json", "neither a list nor a table of labels"),
        ("7", "labels.json", "neither a list nor a table of labels"),
        ('{"1": "a", "01": "b"}', "labels.json", "number 1 occurs twice"),
        ('{"99999999999999": "a"}', "labels.json", "too long"),
        ("id,name,colour\n0,person,red\n", "labels.csv", "not one or two columns"),
        ("car,dog\nperson,cat\n", "labels.csv", "no column with only numbers"),
        ('item { name: "person" }', "map.pbtxt", "without an id or name"),
        ("nothing here", "map.pbtxt", "no item with"),
    ],
)
def test_what_is_refused(text: str | bytes, place: str, message: str) -> None:
    with pytest.raises(BadLabelsError, match=message) as caught:
        parse(text, place)
    assert str(caught.value).startswith(place)
    assert "\n" not in str(caught.value)


def test_labels_of_a_model_that_does_not_say_how_many_classes_it_has() -> None:
    assert parse(f"background\n{LINES}", count=None) == NAMES
    assert parse(f"none\n{LINES}", count=None) == ["none", *NAMES]
    with pytest.raises(BadLabelsError, match="has blank lines"):
        parse("person\n\ncar\n", count=None)
    with pytest.raises(BadLabelsError, match="begin with 5"):
        parse("5 person\n6 car\n", count=None)


def test_names_that_begin_with_a_number_are_no_numbering() -> None:
    coins = ["2 euro", "1 euro", "2 cent", "1 cent"]
    assert parse("\n".join(coins)) == coins
    assert parse("none\nrock\npaper\nscissors") == ["none", "rock", "paper", "scissors"]


def test_count() -> None:
    check_count(4, "labels.txt", None)
    check_count(4, "labels.txt", 4)
    with pytest.raises(BadLabelsError, match="has 4 labels, the model has 6 classes"):
        check_count(4, "labels.txt", 6)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(BadLabelsError, match="half a character"):
        parse('["person", "bicycle", "car", "\\ud83d"]', "labels.json")
    assert parse('["person", "bi\\ncycle", "car", "dog"]', "labels.json")[1] == "bi cycle"
