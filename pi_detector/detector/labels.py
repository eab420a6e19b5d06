"""Labels files in their usual formats: which label belongs to which class.

A label that is off by one turns every dog into a cat, without any other symptom. So a file is only
accepted if it has one possible meaning and as many labels as the model has classes.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pi_detector.detector.labels_yaml import names_in_yaml
from pi_detector.errors import BadLabelsError

NAMELESS = "???"
"""The label of a class that has none: a gap in COCO's numbers."""

# What stands first in files of labels and is no class of the model's outputs: certainly, or maybe.
_BACKGROUND = frozenset(
    {"unlabeled", "unlabelled", "background", "__background__", "_background_", "bg", "???"}
)
_MAYBE_BACKGROUND = frozenset({"none", "n/a", "null", "nothing", "other"})
_GAPS = frozenset({"", "???", "n/a"})
_NUMBERED = re.compile(r"(\d{1,6})(?:\s*[:;,=|\t]\s*|\s*[.)]\s+|\s+)(\S.*)")
_ITEM = re.compile(r"item\s*:?\s*\{([^{}]*)\}")
_FIELD = re.compile(
    r"""(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s,;]+))""", re.DOTALL
)
_PBTXT_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_MOST_CLASSES = 100_000
_MOST_DIGITS = 9
_FORMS = (
    "write one label per line, in the order of the model's classes (also accepted: lines like "
    "'17 dog', .pbtxt, .json, .yaml, .csv)"
)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Labels in order, blanks for gaps; or by number."""

    names: Sequence[str]
    by_number: Mapping[int, str] | None = None


def parse_labels(data: bytes, place: str, class_count: int | None) -> list[str]:
    """The labels of a model's classes, in their order.

    Args:
        data: the file.
        place: its name, for messages; its suffix says what form it has.
        class_count: of the model, without the background; None where it is not known.

    Returns:
        ``class_count`` labels, where that is known; ``NAMELESS`` for a gap.

    Raises:
        BadLabelsError: it is no file of labels, or can mean several things, or its labels are more
            or fewer than the model's classes.
    """
    text = _text(data, place)
    suffix = place.lower().rpartition(".")[2]
    if suffix == "json":
        rows = _from_json(text, place)
    elif suffix == "pbtxt" or _ITEM.match(_PBTXT_COMMENT.sub("", text).lstrip()):
        rows = _from_pbtxt(text, place)
    elif suffix in {"yaml", "yml"}:
        rows = _Rows(names_in_yaml(text, place))
    elif suffix == "csv":
        rows = _from_csv(text, place)
    else:
        rows = _from_lines(text)
    if rows.by_number is not None:
        names = _ordered_by_number(rows.by_number, place, class_count)
    else:
        names = _ordered(rows.names, place, class_count)
    return [checked_label(name, place) for name in names]


def check_count(labels: int, place: str, class_count: int | None) -> None:
    """See that there are as many labels as classes.

    Raises:
        BadLabelsError: there are not.
    """
    if class_count is not None and labels != class_count:
        raise BadLabelsError(
            f"{place}: has {labels} labels, the model has {class_count} classes; use the labels "
            "file of this model"
        )


def _text(data: bytes, place: str) -> str:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLabelsError(f"{place}: not UTF-8 text ({error.reason}); {_FORMS}") from error
    if "\0" in text:
        raise BadLabelsError(f"{place}: not a text file; {_FORMS}")
    if text.lstrip()[:15].lower().startswith(("<!doctype", "<html", "version https:")):
        raise BadLabelsError(
            f"{place}: a web page or a Git LFS pointer, not the file itself; download it again"
        )
    return text


def _from_lines(text: str) -> _Rows:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith("#")]
    while lines and not lines[-1]:
        lines.pop()
    numbered = [_NUMBERED.fullmatch(line) for line in lines if line]
    if len(numbered) > 1 and all(numbered):
        pairs = [(int(match[1]), match[2].strip()) for match in numbered if match]
        if len(dict(pairs)) == len(pairs):  # else these are names such as '2 euro' and '2 cent'
            return _Rows((), dict(pairs))
    return _Rows(lines)


def _from_pbtxt(text: str, place: str) -> _Rows:
    """TensorFlow's ``label_map.pbtxt``: ``item { id: 1 name: "person" }``."""
    found: dict[int, str] = {}
    for item in _ITEM.finditer(_PBTXT_COMMENT.sub("", text)):
        fields = {
            name: double or single or bare for name, double, single, bare in _FIELD.findall(item[1])
        }
        number = fields.get("id", "")
        name = fields.get("display_name") or fields.get("name")
        if not number.isdecimal() or not name:
            raise BadLabelsError(f"{place}: an item without an id or name; {_FORMS}")
        _add(found, number, name, place)
    # Ids count from 1; 0 is the background by that format's own rule.
    found.pop(0, None)
    if not found:
        raise BadLabelsError(f"{place}: no item with an id and a name; {_FORMS}")
    return _Rows((), found)


def _from_json(text: str, place: str) -> _Rows:
    """A list of labels, a table of number and label, or COCO's ``categories``."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLabelsError(f"{place}: not JSON ({error}); {_FORMS}") from error
    if isinstance(tree, dict) and isinstance(tree.get("categories"), list):
        tree = tree["categories"]
    if isinstance(tree, list) and all(each is None or isinstance(each, str) for each in tree):
        return _Rows([(each or "").strip() for each in tree])
    found: dict[int, str] = {}
    for number, name in _pairs(tree):
        if not isinstance(name, str) or not str(number).isdecimal():
            break
        _add(found, str(number), name, place)
    else:
        if found:
            return _Rows((), found)
    raise BadLabelsError(f"{place}: neither a list nor a table of labels; {_FORMS}")


def _pairs(tree: object) -> Iterable[tuple[object, object]]:
    """Number and label, as far as a tree of JSON has them."""
    if isinstance(tree, list):
        return [
            (each.get("id"), each.get("name")) if isinstance(each, dict) else (None, None)
            for each in tree
        ]
    if isinstance(tree, dict):
        if all(isinstance(value, int) for value in tree.values()):
            return [(number, name) for name, number in tree.items()]
        return list(tree.items())
    return [(None, None)]


def _from_csv(text: str, place: str) -> _Rows:
    """One column of labels, or two, of which one has the numbers; a first row may name them."""
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise BadLabelsError(f"{place}: not CSV ({error}); {_FORMS}") from error
    if rows and all(len(row) == 1 for row in rows):
        return _from_lines(text)
    if not rows or any(len(row) != 2 for row in rows):
        raise BadLabelsError(f"{place}: not one or two columns; {_FORMS}")
    if not any(cell.isdecimal() for cell in rows[0]):
        rows = rows[1:]
    for number_column in (0, 1):
        if rows and all(row[number_column].isdecimal() for row in rows):
            found: dict[int, str] = {}
            for row in rows:
                _add(found, row[number_column], row[1 - number_column], place)
            return _Rows((), found)
    raise BadLabelsError(f"{place}: no column with only numbers; {_FORMS}")


def _add(found: dict[int, str], digits: str, name: str, place: str) -> None:
    number = int(digits[:_MOST_DIGITS])
    if number in found or len(digits) > _MOST_DIGITS:
        raise BadLabelsError(f"{place}: number {number} occurs twice or is too long; {_FORMS}")
    found[number] = " ".join(name.split())


def _ordered_by_number(found: Mapping[int, str], place: str, class_count: int | None) -> list[str]:
    """Labels in the order of their numbers, which count from 0, or from 1 beside a background."""
    numbers = dict(found)
    zeroth = numbers.get(0, "").lower()
    if zeroth in _BACKGROUND or (zeroth in _MAYBE_BACKGROUND and max(numbers) == class_count):
        del numbers[0]
    if not numbers:
        raise BadLabelsError(f"{place}: empty; {_FORMS}")
    first, last = min(numbers), max(numbers)
    base = 0 if first == 0 else 1
    if class_count is None and first > 1:
        raise BadLabelsError(f"{place}: the numbers begin with {first}, not with 0 or 1; {_FORMS}")
    count = last - base + 1
    if (class_count is not None and count != class_count) or count > _MOST_CLASSES:
        raise BadLabelsError(
            f"{place}: the numbers range from {first} to {last}, the model has "
            f"{class_count if class_count is not None else 'fewer'} classes; use the labels file "
            "of this model"
        )
    return [_named(numbers.get(base + index, "")) for index in range(count)]


def _ordered(names: Sequence[str], place: str, class_count: int | None) -> list[str]:
    """Labels in the order of the lines: without the background, with or without the gaps."""
    compact = [name for name in names if name]
    if not compact:
        raise BadLabelsError(f"{place}: empty; {_FORMS}")
    if class_count is None:
        return _without_count(names, compact, place)
    for candidates in (names, compact):
        behind = len(candidates) == class_count + 1 and _may_be_background(candidates[0])
        if behind or (len(candidates) == class_count and candidates[0].lower() not in _BACKGROUND):
            return [_named(name) for name in candidates[behind:]]
    background = "" if compact[0].lower() not in _BACKGROUND else f" after {compact[0]!r}"
    count = len(compact) - bool(background)
    hint = ""
    if count == class_count + 1:
        hint = f"; if {compact[0]!r} is the background, write 'background' there"
    raise BadLabelsError(
        f"{place}: has {count} labels{background}, the model has {class_count} classes{hint}; "
        "use the labels file of this model"
    )


def _may_be_background(name: str) -> bool:
    return name.lower() in _BACKGROUND | _MAYBE_BACKGROUND | {""}


def _without_count(names: Sequence[str], compact: list[str], place: str) -> list[str]:
    """Labels of a model that does not say how many classes it has: nothing checks what is meant."""
    if len(names) != len(compact):
        raise BadLabelsError(
            f"{place}: has blank lines, and the model does not say how many classes it has; write "
            f"{NAMELESS} for a class without a label, and remove the other blank lines"
        )
    if compact[0].lower() in _BACKGROUND:
        compact = compact[1:]
    return [_named(name) for name in compact]


def checked_label(name: str, place: str) -> str:
    """A label on one line, and of characters that can be written."""
    name = " ".join(name.split())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadLabelsError(f"{place}: {name!a} has half a character; {_FORMS}") from error
    return name


def _named(name: str) -> str:
    return NAMELESS if name.lower() in _GAPS else name
