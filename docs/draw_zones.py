"""Draws zones.png, the picture in events.md, from the settings that are printed there.

python docs/draw_zones.py
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import cv2
import msgspec
import numpy as np

from pi_detector.config.settings import Settings
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.sinks.draw import annotate, with_places

DOCS = Path(__file__).parent
WIDTH, HEIGHT = 800, 450
LABELS = {1: "person", 3: "car"}


def front_garden() -> ImageArray:
    """A house, its drive, a street, a car and a visitor."""
    scene = np.full((HEIGHT, WIDTH, 3), (176, 203, 224), np.uint8)
    scene[170:] = (132, 160, 108)
    scene[350:] = (120, 120, 124)
    cv2.fillPoly(
        scene, [np.array([[440, 190], [560, 190], [640, 350], [330, 350]])], (158, 154, 148)
    )
    cv2.rectangle(scene, (170, 60), (590, 190), (201, 184, 160), cv2.FILLED)
    cv2.fillPoly(scene, [np.array([[140, 60], [380, 5], [620, 60]])], (142, 90, 76))
    cv2.rectangle(scene, (440, 105), (560, 190), (110, 106, 104), cv2.FILLED)
    cv2.rectangle(scene, (250, 100), (300, 190), (96, 66, 52), cv2.FILLED)
    cv2.fillPoly(
        scene, [np.array([[245, 190], [305, 190], [330, 350], [220, 350]])], (190, 180, 160)
    )
    cv2.rectangle(scene, (448, 225), (552, 268), (150, 40, 44), cv2.FILLED)
    cv2.rectangle(scene, (466, 196), (534, 228), (170, 60, 60), cv2.FILLED)
    cv2.rectangle(scene, (474, 202), (526, 224), (200, 216, 224), cv2.FILLED)
    for x in (466, 534):
        cv2.circle(scene, (x, 270), 12, (40, 40, 44), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(scene, (278, 262), 11, (222, 184, 150), cv2.FILLED, cv2.LINE_AA)
    cv2.rectangle(scene, (264, 274), (292, 318), (52, 72, 128), cv2.FILLED)
    for x in (267, 281):
        cv2.rectangle(scene, (x, 318), (x + 9, 352), (48, 48, 60), cv2.FILLED)
    return scene


def main() -> None:
    """Write the picture."""
    example = re.search(r"```toml\n(.*?\[zones\..*?)```", (DOCS / "events.md").read_text(), re.S)
    assert example is not None
    settings = msgspec.convert(tomllib.loads(example[1]), Settings)
    picture = with_places(front_garden(), settings.zones, settings.lines)
    found = Detections(
        np.array([[440, 192, 560, 284], [258, 248, 298, 354]], np.float32),
        np.array([0.81, 0.74], np.float32),
        np.array([3, 1]),
        np.array([1, 7]),
    )
    picture = annotate(picture, found, LABELS)
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    (DOCS / "zones.png").write_bytes(data.tobytes())


if __name__ == "__main__":
    main()
