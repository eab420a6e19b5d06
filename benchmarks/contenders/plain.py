"""The steps around an interpreter as tutorials write them: floats, all boxes, loops, drawing."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import cv2
import numpy as np

MIN_SCORE = 0.4
IOU = 0.5
COLOUR = (10, 255, 0)


class RawSsd:
    """Boxes of a network that gives logits and coded boxes."""

    def __init__(self, manifest: str) -> None:
        with Path(manifest).open("rb") as file:
            table = tomllib.load(file)
        self.labels = [label["name"] for label in table["labels"]]
        self.logits, self.boxes = table["outputs"]["logits"], table["outputs"]["boxes"]
        self.side = table["input"]["width"]
        self._variances = np.array(table["anchors"]["variances"], np.float32)
        self._anchors = anchors(table["anchors"], self.side)

    def detections(self, logits, coded):
        """Labels' numbers, scores and boxes (x1, y1, x2, y2 in 0..1) after NMS.

        Args:
            logits: (N, classes) float32.
            coded: (N, 4) float32.
        """
        scores = 1 / (1 + np.exp(-logits))
        coded = coded * self._variances
        centres = self._anchors[:, :2] + coded[:, :2] * self._anchors[:, 2:]
        sizes = self._anchors[:, 2:] * np.exp(coded[:, 2:])
        corners = np.concatenate([centres - sizes / 2, sizes], axis=1) / self.side
        found = []
        for number in range(logits.shape[1]):
            chosen = np.where(scores[:, number] > MIN_SCORE)[0]
            xywh, confidence = corners[chosen], scores[chosen, number]
            for i in cv2.dnn.NMSBoxes(xywh.tolist(), confidence.tolist(), MIN_SCORE, IOU):
                x, y, width, height = xywh[i]
                found.append((number, confidence[i], (x, y, x + width, y + height)))
        return found


def anchors(table, side):
    """(N, 4) centre, width and height in pixels of the input, by map, row, column and kind."""
    rows = []
    maps = zip(table["strides"], table["steps"], table["offsets"], table["shapes"], strict=True)
    for stride, step, offset, shapes in maps:
        cells = math.ceil(side / stride)
        for y in range(cells):
            for x in range(cells):
                rows += [[x * step + offset, y * step + offset, *shape] for shape in shapes]
    return np.array(rows, np.float32)


def draw(frame, label, score, box):
    """A box with its label on a frame."""
    height, width = frame.shape[:2]
    x1, y1 = int(max(1, box[0] * width)), int(max(1, box[1] * height))
    x2, y2 = int(min(width, box[2] * width)), int(min(height, box[3] * height))
    cv2.rectangle(frame, (x1, y1), (x2, y2), COLOUR, 4)
    text = f"{label}: {int(score * 100)}%"
    size, base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 2)
    top = max(y1, size[1] + 10)
    corners = (x1, top - size[1] - 10), (x1 + size[0], top + base - 10)
    cv2.rectangle(frame, *corners, (255, 255, 255), cv2.FILLED)
    cv2.putText(frame, text, (x1, top - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)
