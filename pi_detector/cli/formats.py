"""The output formats of ``pi-detector detect``: sinks that write text to an open file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from pi_detector.cli.inputs import is_video
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.errors import BadImageError, BadLabelsError, SourceNotFoundError
from pi_detector.util.text import one_line


class CocoResults:
    """Writes one JSON list of COCO results incrementally, with constant memory.

    Source: the results format of https://cocodataset.org/#format-results, with ``file_name`` beside
    ``image_id``. Boxes are x, y, width, height in pixels.
    """

    name = "coco"
    lossless = True

    def __init__(self, out: TextIO, image_of: Callable[[str], tuple[int, str]]) -> None:
        """Create the sink.

        Args:
            out: open text file.
            image_of: returns the image ID and file name for the path of an image.
        """
        self._out = out
        self._image_of = image_of
        self._separator = "\n"

    def start(self) -> None:
        """Begin the list."""
        self._out.write("[")

    def handle(self, item: Publication) -> bool:
        """Write one element per detection."""
        if not isinstance(item, Result):
            return False
        image_id, file_name = self._image_of(item.frame.path or item.frame.source)
        found = item.detections
        rows = zip(found.xyxy.tolist(), found.score.tolist(), found.class_id.tolist(), strict=True)
        for (x1, y1, x2, y2), score, class_id in rows:
            row = {
                "image_id": image_id,
                "file_name": file_name,
                "category_id": class_id,
                "bbox": [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": round(score, 5),
            }
            self._out.write(self._separator + json.dumps(row, ensure_ascii=False))
            self._separator = ",\n"
        return True

    def close(self) -> None:
        """End the list and flush; the file stays open."""
        self._out.write("\n]\n")
        self._out.flush()


class Table:
    """Prints a block per frame for people, and a summary at the end.

    Video frames without detections are left out; images never are.
    """

    name = "table"
    lossless = True

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._frames = 0
        self._invoke_ms = 0.0
        self._found: Counter[str] = Counter()

    def start(self) -> None:
        """Nothing to open."""

    def handle(self, item: Publication) -> bool:
        """Write the block of a frame."""
        if not isinstance(item, Result):
            return False
        self._frames += 1
        self._invoke_ms += item.timings.invoke_ms
        found = item.detections
        labels = [item.labels.get(i, str(i)) for i in found.class_id.tolist()]
        self._found.update(labels)
        if labels or not is_video(item.frame.path or item.frame.source):
            self._out.write(_block(item, labels))
        return True

    def close(self) -> None:
        """Write the summary and flush; the file stays open."""
        total = sum(self._found.values())
        by_label = ", ".join(f"{count} {label}" for label, count in self._found.most_common())
        mean_ms = self._invoke_ms / self._frames if self._frames else 0.0
        self._out.write(
            f"{_plural(self._frames, 'frame')}, {_plural(total, 'object')}"
            f"{': ' + by_label if by_label else ''}; inference {mean_ms:.1f} ms per frame\n"
        )
        self._out.flush()


def _block(result: Result, labels: list[str]) -> str:
    frame, found = result.frame, result.detections
    title = frame.path or frame.source
    if is_video(title):
        title += f" frame {frame.sequence}"
    lines = [f"{title}  {frame.width}x{frame.height}  {_plural(len(labels), 'object')}"]
    width = max(map(len, labels), default=0)
    for label, score, box in zip(labels, found.score.tolist(), found.xyxy.tolist(), strict=True):
        corners = " ".join(f"{value:6.0f}" for value in box)
        lines.append(f"  {label:<{width}}  {score:.2f}  {corners}")
    return "\n".join(map(one_line, lines)) + "\n"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def numbered(paths: list[Path]) -> Callable[[str], tuple[int, str]]:
    """Number images 1, 2, ... in the order of ``paths``, without annotations.

    Returns:
        A function from a path to its image ID and its file name without folders.
    """
    ids = {str(path): number for number, path in enumerate(paths, 1)}
    return lambda path: (ids[path], Path(path).name)


def from_annotations(annotations: Path) -> Callable[[str], tuple[int, str]]:
    """Read the image IDs of a COCO annotations file.

    Args:
        annotations: JSON with a list ``images`` of ``id`` and ``file_name``; a ``file_name`` with
            folders matches images whose path ends with it.

    Returns:
        A function from a path to its image ID and the ``file_name`` of the annotations; it raises
        BadImageError for an image that the annotations lack.

    Raises:
        SourceNotFoundError: the file cannot be read.
        BadLabelsError: it contains no COCO annotations.
    """
    try:
        content = json.loads(annotations.read_bytes())
        ids = {str(image["file_name"]): int(image["id"]) for image in content["images"]}
    except OSError as error:
        raise SourceNotFoundError(
            f"{annotations}: cannot read the annotations: {error.strerror}; use a COCO JSON file"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadLabelsError(
            f"{annotations}: not COCO annotations; use a file with a list 'images' of 'id' and "
            "'file_name'"
        ) from error
    return lambda path: _look_up(ids, path, annotations)


def _look_up(ids: Mapping[str, int], path: str, annotations: Path) -> tuple[int, str]:
    parts = Path(path).parts
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        if name in ids:
            return ids[name], name
    raise BadImageError(f"{path}: not in {annotations}; leave it out of PATH")
