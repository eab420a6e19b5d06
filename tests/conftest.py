"""What all tests share."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of extra material (data sets, videos, reference models); skips without it."""
    folder = Path(os.environ.get("PI_DETECTOR_SHARED") or CHECKOUT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no extra material in {folder}: set PI_DETECTOR_SHARED to its folder")
    return folder
