"""``python -m deploy new``: a folder with a Makefile of its own, so that nobody edits ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from deploy.files import write_aside
from pi_detector.util.suggest import did_you_mean

CHECKOUT = Path(__file__).resolve().parents[2]
WEIGHTS = CHECKOUT / "models" / "world.pt"
"""The weights that training starts from: those of the shipped models, in float."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class ProjectError(ValueError):
    """A folder that cannot be made as asked."""


def new_project(folder: Path, classes: Sequence[str], keep: Sequence[str] = ()) -> list[str]:
    """Make a folder for a detector of one's own.

    Args:
        folder: to make; its name is the model's.
        classes: what it shall detect, in order.
        keep: classes of the shipped model to keep beside them, or ``all``.

    Returns:
        What to do next, a line each.

    Raises:
        ProjectError: the folder is there, or a name cannot be one.
    """
    name = folder.name
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"{name!r}: is no name of a model; use small letters, digits, points and dashes"
        )
    if "'" in str(CHECKOUT) or any(c in str(CHECKOUT) for c in "$#\n"):
        raise ProjectError(f"{CHECKOUT}: make cannot use this path; move the checkout")
    check_classes(classes)
    check_kept(keep)
    if folder.exists():
        raise ProjectError(f"{folder}: is there already; choose another name")
    kept = f"--keep-classes '{','.join(keep)}'" if keep else ""
    template = Path(__file__).with_name("template.mk").read_text("utf-8")
    for key, value in (("name", name), ("checkout", str(CHECKOUT)), ("keep", kept)):
        template = template.replace("{" + key + "}", value)
    makefile = "".join(f"{line.rstrip()}\n" for line in template.splitlines())
    (folder / "photos").mkdir(parents=True)
    labels = "".join(f"{label}\n" for label in classes)
    write_aside(folder / "labels.txt", lambda file: file.write(labels.encode()))
    write_aside(folder / "Makefile", lambda file: file.write(makefile.encode()))
    return [
        f"{folder}/photos: put photos and their label files there (Pascal VOC, YOLO or COCO)",
        f"make -C {folder}: trains, measures, and writes the bundle {folder}/model",
    ]


def check_classes(classes: Sequence[str]) -> None:
    """Refuse classes that no labels file can hold.

    Raises:
        ProjectError: names the class.
    """
    if not classes:
        raise ProjectError("--classes: names no class; give one or more, separated by commas")
    for label in classes:
        if not label.isprintable() or not label.strip():
            raise ProjectError(f"--classes: {label!r} is no name that can be printed")
    if twice := [label for label in classes if classes.count(label) > 1]:
        raise ProjectError(f"--classes: {twice[0]!r} is there twice")


def check_kept(keep: Sequence[str]) -> None:
    """Refuse classes that the shipped model does not know.

    Raises:
        ProjectError: names the class, and the nearest known one.
    """
    from deploy.data.coco_classes import COCO_IDS

    known = list(COCO_IDS)
    if list(keep) == ["all"]:
        return
    if unknown := [label for label in keep if label not in known]:
        fix = did_you_mean(unknown[0], known, "it has {}")
        raise ProjectError(f"--keep-classes: the shipped model has no {unknown[0]!r}; {fix}")
