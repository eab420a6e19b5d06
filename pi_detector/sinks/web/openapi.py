"""The OpenAPI document of the page's server, generated from the types of its operations.

Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from pi_detector import __version__
from pi_detector.config.text import documentation
from pi_detector.sinks.web.operations import OPERATIONS, Operation, Problem

API_VERSION = "1.0"
_TEMPLATE = "#/components/schemas/{name}"
_ABOUT = (
    "What the page of pi-detector uses, for programs as well. Within `/api/v1` fields and "
    "operations are added; none change or go: skip fields that you do not know. Errors are JSON "
    "with one field, `error`. Times have a time zone."
)
_REFUSALS = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    421: "The host name is unknown, where there is no token.",
    429: "Too many wrong tokens.",
    500: "Something failed; the log has more.",
}
_REFUSALS_OF_WRITES = {403: "The request comes from another page.", 413: "The body is too large."}


def openapi() -> dict[str, Any]:
    """The document."""
    kinds = list(dict.fromkeys([Problem, *_kinds()]))
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    schema_of = dict(zip(kinds, references, strict=True))
    _explain(schemas, kinds)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        described = _described(operation, schema_of)
        paths.setdefault(operation.path, {})[operation.method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pi-detector",
            "version": API_VERSION,
            "description": f"{_ABOUT}\n\nWritten by pi-detector {__version__}.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The setting `web.token`; without one nothing is needed.",
                }
            },
        },
    }


def _kinds() -> Iterator[Any]:
    for operation in OPERATIONS:
        if not isinstance(operation.answer, str):
            yield operation.answer
        if operation.body is not None and not isinstance(operation.body, str):
            yield operation.body


def _described(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    statuses = dict(_REFUSALS)
    if operation.public:
        del statuses[401], statuses[429]
    if operation.method != "get":
        statuses |= _REFUSALS_OF_WRITES
    statuses |= operation.refusals
    problem = {"application/json": {"schema": schema_of[Problem]}}
    if isinstance(operation.answer, str):
        content: dict[str, Any] = {operation.answer: {}}
    else:
        content = {"application/json": {"schema": schema_of[operation.answer]}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {
            "200": {"description": "Done.", "content": content},
            **{
                str(status): {"description": words, "content": problem}
                for status, words in sorted(statuses.items())
            },
        },
    }
    if operation.body is not None:
        if isinstance(operation.body, str):
            body: dict[str, Any] = {operation.body: {"schema": {"type": "string"}}}
        else:
            body = {"application/json": {"schema": schema_of[operation.body]}}
        described["requestBody"] = {"required": True, "content": body}
    if operation.public:
        described["security"] = []
    return described


def _name(operation: Operation) -> str:
    words = re.findall(r"[a-z]+", operation.path.removeprefix("/api/v1/"))
    return "_".join([operation.method, *words])


def _path_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }


def _query_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    _, about = documentation(operation.query)
    schema = msgspec.json.schema_components([operation.query], ref_template=_TEMPLATE)[1]
    for name, each in schema[operation.query.__name__]["properties"].items():
        plain = next((kind for kind in each.get("anyOf", []) if kind["type"] != "null"), each)
        yield {
            "name": name,
            "in": "query",
            "description": about.get(name, ""),
            "schema": {key: value for key, value in plain.items() if key != "default"},
        }


def _explain(schemas: dict[str, Any], kinds: list[Any]) -> None:
    """Move the explanations of attributes from a docstring to the attributes."""
    for kind in _structs(kinds):
        schema = schemas.get(kind.__name__)
        if schema is None:
            continue
        _, about = documentation(kind)
        schema["description"] = schema.get("description", "").split("\n\nAttributes:")[0]
        for name, each in schema.get("properties", {}).items():
            if name in about:
                each["description"] = about[name]


def _structs(kinds: list[Any]) -> set[type[msgspec.Struct]]:
    """The structs among types, and those that their fields are made of."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind) for kind in kinds]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in found:
                continue
            found.add(kind.cls)
            waiting += [each.type for each in kind.fields]
        for name in ("type", "item_type", "key_type", "value_type"):
            if hasattr(kind, name):
                waiting.append(getattr(kind, name))
        for name in ("types", "item_types"):
            waiting += getattr(kind, name, ())
    return found
