"""Records that came out of pi-detector, each held against the published JSON Schema."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import Any

import jsonschema

from pi_detector.core.schema import json_schema


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@lru_cache(maxsize=50_000)
def fault(line: bytes | str) -> str | None:
    """What is wrong with a record, or None. A test may read the same output again and again."""
    found = next(_validator().iter_errors(json.loads(line)), None)
    return None if found is None else f"{found.json_path}: {found.message}: {line!r}"


def record(line: bytes | str) -> dict[str, Any]:
    """A record that was written; a line that is none fails the test."""
    assert fault(line) is None, fault(line)
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def records(text: bytes | str) -> list[dict[str, Any]]:
    """All records of an output, whose lines are whole."""
    return [record(line) for line in text.splitlines()]
