"""Where the labels of a model lie: beside it, or in it."""

from __future__ import annotations

from pathlib import Path

from pi_detector.detector.tflite_metadata import read_own_words
from pi_detector.errors import BadLabelsError

LABELS_FILE = "labels.txt"

# Beside a bare model, the first that is there.
_LABELS_NAMES = (
    LABELS_FILE,
    "labelmap.txt",
    "label_map.pbtxt",
    "labels.json",
    "labels.csv",
    "labels.yaml",
    "data.yaml",
    "metadata.yaml",
)
_LONGEST_LABELS = 4 * 1024 * 1024


def find_labels(path: Path, labels: Path | None) -> tuple[bytes, str]:
    """The labels of a bare model as they are stored beside it, and their place.

    Args:
        path: the model.
        labels: its labels file; None takes the one beside the model, such as `labels.txt`.

    Raises:
        BadLabelsError: there is none.
    """
    if labels is not None:
        return read_labels(labels), str(labels)
    for name in _LABELS_NAMES:
        beside = path.with_name(name)
        if beside.exists():
            return read_labels(beside), str(beside)
    raise BadLabelsError(
        f"{path.with_name(LABELS_FILE)}: no such labels file; set model.labels (--labels), or put "
        f"{LABELS_FILE} beside the model"
    )


def labels_of(path: Path, model: bytes, labels: Path | None) -> tuple[bytes, str]:
    """The labels of a bare model as they are stored, and their place.

    Args:
        path: the model.
        model: its bytes.
        labels: its labels file; None takes the one beside the model, or the one in it.

    Raises:
        BadLabelsError: there is none.
    """
    try:
        return find_labels(path, labels)
    except BadLabelsError:
        packed = read_own_words(model).labels
        if labels is not None or packed is None:
            raise
    name, data = packed
    return data, f"{path}/{name}"


def read_labels(path: Path) -> bytes:
    """A labels file as it is stored.

    Raises:
        BadLabelsError: it is missing, too large or cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_LABELS + 1)
    except FileNotFoundError as error:
        raise BadLabelsError(
            f"{path}: no such labels file; set model.labels (--labels), or put {LABELS_FILE} "
            "beside the model"
        ) from error
    except OSError as error:
        raise BadLabelsError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > _LONGEST_LABELS:
        raise BadLabelsError(f"{path}: too large for a labels file; check model.labels")
    return data
