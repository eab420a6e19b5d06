"""Labels of an imported model in every form that people have: right, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_models_import import LEGACY, LEGACY_LABELS

from pi_detector.detector.foreign.making import Wishes, import_model
from pi_detector.detector.manifest import Label
from pi_detector.errors import BadLabelsError

Rows = list[str]
GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def numbered(rows: Rows) -> list[tuple[int, str]]:
    return [(number, row) for number, row in enumerate(rows, start=1) if number not in GAPS]


def pbtxt(rows: Rows) -> str:
    return "\n".join(f'item {{ id: {n}\n  display_name: "{row}" }}' for n, row in numbered(rows))


def categories(rows: Rows) -> str:
    return json.dumps({"categories": [{"id": n, "name": row} for n, row in numbered(rows)]})


FORMS: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "byte order mark": ("l.txt", lambda rows: "\n".join(["\ufeff???", *rows])),
    "__background__": ("l.txt", lambda rows: "\n".join(["__background__", *rows])),
    "none": ("l.txt", lambda rows: "\n".join(["none", *rows])),
    "comment": ("l.txt", lambda rows: "\n".join(["# COCO", *rows])),
    "blank lines": (
        "l.txt",
        lambda rows: "\n".join("" if n in GAPS else row for n, row in enumerate(["", *rows])),
    ),
    "17 dog": ("l.txt", lambda rows: "\n".join(f"{n} {row}" for n, row in numbered(rows))),
    "pbtxt": ("l.pbtxt", pbtxt),
    "json": ("l.json", lambda rows: json.dumps(dict(numbered(rows)))),
    "categories": ("l.json", categories),
    "csv": ("l.csv", lambda rows: "\n".join(f"{n},{row}" for n, row in numbered(rows))),
    "yaml": ("l.yaml", lambda rows: "names:\n" + "\n".join(f"- '{row}'" for row in rows)),
}


@pytest.fixture
def model(shared: Path) -> Path:
    if not (shared / LEGACY).is_file():
        pytest.skip(f"no reference model {shared / LEGACY}")
    return shared / LEGACY


@pytest.fixture
def rows(shared: Path) -> Rows:
    """COCO's labels of the classes 1 to 90."""
    return (shared / LEGACY_LABELS).read_text().splitlines()[1:]


def labels_of(model: Path, folder: Path, form: str, rows: Rows) -> tuple[Label, ...]:
    name, written = FORMS[form]
    (folder / name).write_text(written(rows))
    made = import_model(model, folder / "yard", Wishes(labels=folder / name))
    return made.bundle.labels


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read(tmp_path: Path, model: Path, rows: Rows, form: str) -> None:
    labels = labels_of(model, tmp_path, form, rows)
    assert len(labels) == 90
    assert (labels[0].name, labels[17].name, labels[89].name) == ("person", "dog", "toothbrush")


@pytest.mark.parametrize("form", FORMS)
def test_one_label_too_few_is_refused(tmp_path: Path, model: Path, rows: Rows, form: str) -> None:
    with pytest.raises(BadLabelsError, match=r"90 classes|fewer|order"):
        labels_of(model, tmp_path, form, rows[:-1])
    assert not (tmp_path / "yard").exists()


@pytest.mark.parametrize("form", FORMS)
def test_one_label_too_many_is_refused(tmp_path: Path, model: Path, rows: Rows, form: str) -> None:
    with pytest.raises(BadLabelsError, match="90 classes"):
        labels_of(model, tmp_path, form, [*rows, "broom"])


@pytest.mark.parametrize("form", FORMS)
def test_an_order_that_is_not_the_models_is_refused(
    tmp_path: Path, model: Path, rows: Rows, form: str
) -> None:
    swapped = [*rows[:16], rows[17], rows[16], *rows[18:]]
    with pytest.raises(BadLabelsError, match="'dog' is the label of class 17, but by COCO's order"):
        labels_of(model, tmp_path, form, swapped)
    with pytest.raises(BadLabelsError, match="by COCO's order of class"):
        labels_of(model, tmp_path, form, [*rows[1:], "broom"])
