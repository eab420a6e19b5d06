"""The page's server, running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_client import TOKEN, Web


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    made: list[Web] = []

    def start(**options: Any) -> Web:
        web = Web(tmp_path, **options)
        web.sink.start()
        made.append(web)
        return web

    yield start
    for web in made:
        web.sink.close()


@pytest.fixture
def web(make: Callable[..., Web]) -> Web:
    return make()


@pytest.fixture
def guarded(make: Callable[..., Web]) -> Web:
    return make(token=TOKEN)
