"""Collected frames and marked events as a COCO data set.

What the model detected are proposals: boxes to ignore (``"ignore": 1``) with their ``score``, until
a person has looked at them in a labelling tool. ``labelled`` lists the classes that a person has
annotated exhaustively in an image: of a false alarm the class that was not there, else none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pi_detector.errors import SinkError
from pi_detector.sinks.collect.folder import PICTURE, Proposal, read_note, stems_of
from pi_detector.sinks.files import unwritable
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.index import Row
from pi_detector.sinks.recordings.marks import Mark

NAME = "collected"
"""Of the annotation file and the folder of its photos."""


class Export:
    """A data set that is being put together.

    Args:
        target: folder to make.

    Attributes:
        answers: images with an answer of the owner.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._ids: dict[str, int] = {}
        self._images: list[dict[str, object]] = []
        self._boxes: list[dict[str, object]] = []
        self.answers = 0

    def __len__(self) -> int:
        return len(self._images)

    def add_frames(self, folder: Path) -> None:
        """Add collected frames, with their detections as proposals. Raises SinkError."""
        for stem in stems_of(folder):
            note = read_note(folder, stem)
            if note is None or not self._copy(folder, f"{stem}{PICTURE}", f"{stem}{PICTURE}"):
                continue
            image = self._image(f"{stem}{PICTURE}", (note.width, note.height), note.source)
            for proposal in note.detections:
                self._box(image, proposal, ignore=1)

    def add_events(self, folder: Path, rows: Sequence[Row]) -> None:
        """Add the best views of marked events, with the owner's answers. Raises SinkError."""
        for row in rows:
            pictures = [media.path for media in row.entry.files if media.kind == "clean"]
            if row.mark is None or not pictures:
                continue
            name = f"event-{pictures[0].rpartition('/')[2].partition('.')[0]}{PICTURE}"
            if self._copy(folder, pictures[0], name):
                self._answer(row, row.mark, name)

    def write(self) -> None:
        """Write the annotation file, after all photos. Raises SinkError."""
        categories = [{"id": number, "name": name} for name, number in self._ids.items()]
        content = {"images": self._images, "annotations": self._boxes, "categories": categories}
        try:
            (self._target / f"{NAME}.json").write_text(
                json.dumps(content, indent=1) + "\n", "utf-8"
            )
        except OSError as error:
            raise unwritable(self._target, error) from error

    def _answer(self, row: Row, mark: Mark, name: str) -> None:
        event = row.entry.event
        image = self._image(name, (event.frame.width, event.frame.height), event.source)
        self.answers += 1
        number = self._id(event.label, event.class_id)
        label = event.label if mark.verdict == "right" else mark.label
        if label is not None:
            x1, y1, x2, y2 = event.best.box_px
            proposal = Proposal(label, event.class_id, event.best.score, (x1, y1, x2, y2))
            self._box(image, proposal, ignore=0)
        if mark.verdict == "wrong":
            image["labelled"] = [number]

    def _image(self, name: str, size: tuple[int, int], source: str) -> dict[str, object]:
        image: dict[str, object] = {
            "id": len(self._images) + 1,
            "file_name": name,
            "width": size[0],
            "height": size[1],
            "source": source,
            "labelled": [],
        }
        self._images.append(image)
        return image

    def _box(self, image: dict[str, object], found: Proposal, ignore: int) -> None:
        x1, y1, x2, y2 = found.box_px
        self._boxes.append(
            {
                "id": len(self._boxes) + 1,
                "image_id": image["id"],
                "category_id": self._id(found.label, found.class_id),
                "bbox": [x1, y1, round(x2 - x1, 1), round(y2 - y1, 1)],
                "area": round((x2 - x1) * (y2 - y1), 1),
                "iscrowd": 0,
                "ignore": ignore,
                "score": found.score,
            }
        )

    def _id(self, label: str, class_id: int) -> int:
        """The id of a class: the model's, unless another class has it."""
        if label not in self._ids:
            taken = self._ids.values()
            free = class_id > 0 and class_id not in taken
            self._ids[label] = class_id if free else max((*taken, 1000)) + 1
        return self._ids[label]

    def _copy(self, folder: Path, path: str, name: str) -> bool:
        """Copy a picture; False where it is gone."""
        try:
            with confined.open_file(folder, path) as file:
                data = file.read()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SinkError(f"{folder / path}: {error.strerror}; remove it") from error
        try:
            (self._target / NAME).mkdir(parents=True, exist_ok=True)
            with (self._target / NAME / name).open("xb") as out:
                out.write(data)
        except OSError as error:
            raise unwritable(self._target, error) from error
        return True
