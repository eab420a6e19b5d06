"""The JSON Schema of the records."""

from __future__ import annotations

from typing import Any

import msgspec

from pi_detector.core.records import SCHEMA_VERSION, Record


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of all records."""
    schema = msgspec.json.schema(Record)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"pi-detector records, version {SCHEMA_VERSION}"
    for definition in schema["$defs"].values():
        if "version" in definition["properties"]:  # has a default, yet every record carries it
            definition["required"].append("version")
    return schema
