"""The filter ``to_toml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tomli_w


class FilterModule:
    """Filters for templates."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """By name: ``{{ settings | to_toml }}`` is a mapping as a TOML document."""
        return {"to_toml": tomli_w.dumps}
