"""The labels of a foreign model: from the model, from a file; count and order checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pi_detector.detector.bundle import find_bundles, load_bundle
from pi_detector.detector.labels import NAMELESS, check_count, checked_label, parse_labels
from pi_detector.detector.labels_file import find_labels
from pi_detector.detector.manifest import Label
from pi_detector.detector.tflite_metadata import OwnWords
from pi_detector.errors import BadLabelsError, PiDetectorError

_COCO = "coco"
_COCO_CLASSES = 80
# COCO's ids count from 1 to 90, with ten gaps.
_COCO_IDS = 90
_MOST_UNKNOWN = 0.2
_NO_NAME = "class {}"


def labels_for(
    path: Path, own: OwnWords, given: Path | None, classes: int | None, *, any_order: bool
) -> tuple[tuple[Label, ...], str]:
    """The labels of a model's classes, ids from 1, and where they are from.

    Args:
        path: the model.
        own: what it says of itself.
        given: labels file that the user names, or None.
        classes: that the network distinguishes; None where it does not say so.
        any_order: the user vouches for an order that looks wrong.

    Raises:
        BadLabelsError: there are none, or they do not fit the model in number or order.
    """
    mine, place = _own_labels(path, own, classes)
    if classes is None and mine is None:
        raise BadLabelsError(
            f"{path}: does not say how many classes it has, and carries no labels to check by; "
            "export it with its metadata, or without suppression in it"
        )
    count = classes if classes is not None else len(mine or ())
    if given is not None or mine is None:
        data, place = find_labels(path, given)
        names = parse_labels(data, place, count)
        if mine is not None and not any_order:
            _check_order(names, mine, place, "the model itself")
    else:
        names = mine
    if not any_order:
        _check_coco(names, place)
    return _rows(names, place), place


def _own_labels(path: Path, own: OwnWords, classes: int | None) -> tuple[list[str] | None, str]:
    """The labels that a model carries, and their place; None: none."""
    if names := own.table.get("names"):
        place = f"{path} (its names)"
        return _from_table(names, place, classes), place
    if own.labels is not None:
        name, data = own.labels
        place = f"{path}/{name}"
        return parse_labels(data, place, classes), place
    return None, ""


def _from_table(names: object, place: str, classes: int | None) -> list[str]:
    """The names that Ultralytics writes: a list, or a table by number from 0."""
    if isinstance(names, dict):
        found = {int(key): name for key, name in names.items() if str(key).isdecimal()}
        names = [found.get(index) for index in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadLabelsError(f"{place}: not a name per class; give the labels with --labels")
    check_count(len(names), place, classes)
    return [checked_label(name, place) or NAMELESS for name in names]


def _check_order(names: Sequence[str], wanted: Sequence[str], place: str, whose: str) -> None:
    """See that no label stands at another class than the one that is known to have it.

    Other words for the classes are no fault: a translation.
    """
    at = {_plain(name): index for index, name in enumerate(wanted) if name != NAMELESS}
    for index, name in enumerate(names):
        right = at.get(_plain(name), index)
        if right != index:
            raise BadLabelsError(
                f"{place}: {name!r} is the label of class {index + 1}, but by {whose} of class "
                f"{right + 1}; use the labels file of this model, or --any-order if it is right"
            )


def _check_coco(names: Sequence[str], place: str) -> None:
    """See that the labels of COCO have COCO's order, which all its models share."""
    if len(names) not in {_COCO_CLASSES, _COCO_IDS}:
        return
    known = _coco()
    wanted = list(known.values())
    if len(names) == _COCO_IDS:
        wanted = [known.get(number, NAMELESS) for number in range(1, _COCO_IDS + 1)]
    strange = {_plain(name) for name in names} - {_plain(name) for name in wanted}
    if known and len(strange) <= _MOST_UNKNOWN * _COCO_CLASSES:
        _check_order(names, wanted, place, "COCO's order")


def _coco() -> dict[int, str]:
    """COCO's labels by their id, of the bundle that ships; empty without it."""
    try:
        path = next(each for each in find_bundles() if each.name == _COCO)
        return {label.id: label.name for label in load_bundle(path).labels}
    except (StopIteration, PiDetectorError):
        return {}


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("_", "").replace("-", "")


def _rows(names: Sequence[str], place: str) -> tuple[Label, ...]:
    """Labels with ids from 1. A class without a label gets one by its number."""
    seen: dict[str, int] = {}
    rows = []
    for number, name in enumerate(names, start=1):
        label = _NO_NAME.format(number) if name == NAMELESS else name
        if label in seen:
            raise BadLabelsError(
                f"{place}: {label!r} is the label of the classes {seen[label]} and {number}; give "
                "each class a label of its own"
            )
        seen[label] = number
        rows.append(Label(id=number, name=label))
    return tuple(rows)
