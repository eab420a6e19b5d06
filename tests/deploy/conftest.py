"""A data set that the tests draw."""

import json

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Photos of dark rectangles, tall ("person") or wide ("car"), on noise."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    for split, count in (("train", 24), ("val", 8)):
        (root / split).mkdir()
        images, annotations = [], []
        for number in range(1, count + 1):
            image = rng.integers(120, 255, (96, 128, 3), dtype=np.uint8)
            category = 1 + 2 * int(rng.integers(2))
            width, height = (24, 56) if category == 1 else (64, 30)
            x, y = int(rng.integers(0, 128 - width)), int(rng.integers(0, 96 - height))
            image[y : y + height, x : x + width] = (20, 20, 160) if category == 1 else (160, 20, 20)
            name = f"{number}.jpg"
            cv2.imwrite(str(root / split / name), image)
            images.append({"id": number, "file_name": name, "width": 128, "height": 96,
                           "labelled": [1, 3], "source": "drawn"})  # fmt: skip
            annotations.append({"id": number, "image_id": number, "category_id": category,
                                "bbox": [x, y, width, height], "area": width * height,
                                "iscrowd": 0})  # fmt: skip
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        }
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def pytest_collection_modifyitems(items):
    """Training and conversion take their time on a small machine that does other work as well."""
    for item in items:
        item.add_marker(pytest.mark.timeout(900))
