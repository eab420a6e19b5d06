"""``pi-detector schema``: the JSON Schema of the records, and the OpenAPI document."""

from __future__ import annotations

import argparse
import os

from pi_detector.cli.common import Subparsers, add_command


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "schema",
        "print the JSON Schema of the records",
        "Print the JSON Schema (2020-12) of the records that run and detect write, or the OpenAPI "
        "document of the HTTP API.",
        "pi-detector schema > records.schema.json\npi-detector schema --format vision_msgs\n"
        "pi-detector schema --format openapi > openapi.json",
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "vision_msgs", "openapi"),
        default="jsonl",
        help="lines of records, lines of ROS 2 messages, or the HTTP API (default: %(default)s)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from pi_detector.core import schema as records
    from pi_detector.core import vision_msgs

    if args.format == "openapi":
        from pi_detector.sinks.web.openapi import openapi as make
    else:
        make = records.json_schema if args.format == "jsonl" else vision_msgs.json_schema
    print(json.dumps(make(), indent=2, ensure_ascii=False))
    return os.EX_OK
