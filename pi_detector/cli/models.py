"""``pi-detector models``: list, show, verify and import models."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pi_detector.cli import models_import
from pi_detector.cli.common import MODEL_HELP, Subparsers, add_command, print_error
from pi_detector.errors import ModelNotFoundError, PiDetectorError
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.detector.bundle import Bundle


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "models",
        "list, show, verify or import models",
        "A model is a bundle folder: model.tflite, labels.txt and manifest.toml.",
        """
        pi-detector models list
        pi-detector models show street
        pi-detector models verify /srv/models/yard
        pi-detector models import yolov8n_int8.tflite --out /srv/models/yolo
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = add_command(actions, "list", "list the installed bundles")
    listing.set_defaults(command=list_models)

    show = add_command(actions, "show", "print the details of a model")
    show.add_argument("model", metavar="MODEL", nargs="?", help=f"{MODEL_HELP} (default: street)")
    _add_labels(show)
    show.set_defaults(command=show_model)

    verify = add_command(actions, "verify", "check that models are intact and run")
    verify.add_argument(
        "models", metavar="MODEL", nargs="*", help=f"{MODEL_HELP} (default: all installed bundles)"
    )
    _add_labels(verify)
    verify.set_defaults(command=verify_models)

    models_import.add_parser(actions)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels", metavar="FILE", default="", help="labels of a bare .tflite file"
    )


def list_models(args: argparse.Namespace) -> int:  # noqa: ARG001
    """Print one line per bundle: name, version, labels, folder.

    Raises:
        ModelNotFoundError: none is installed.
    """
    from pi_detector.detector.bundle import load_bundle

    for path in _installed().values():
        try:
            bundle = load_bundle(path)
        except PiDetectorError as error:
            print(one_line(f"{path.name}  damaged: {error}"))
            continue
        version = f"{bundle.manifest.model.version}  " if bundle.manifest else ""
        labels = ", ".join(label.name for label in bundle.labels)
        print(one_line(f"{bundle.name}  {version}{labels}  {path}"))
    return os.EX_OK


def show_model(args: argparse.Namespace) -> int:
    """Print the details of a model, one per line.

    Raises:
        PiDetectorError: the model does not exist or is damaged.
    """
    bundle = _load(args.model or "", args.labels)
    facts = list(_facts(bundle))
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(one_line(f"{name:<{width}}  {value}"))
    return os.EX_OK


def verify_models(args: argparse.Namespace) -> int:
    """Check each model: SHA-256, labels, and one inference.

    Returns:
        0, or the exit code of the first model that fails.

    Raises:
        ModelNotFoundError: none was named and none is installed.
    """
    code = os.EX_OK
    for name in args.models or map(str, _installed().values()):
        try:
            print(_verified(_load(name, args.labels)), flush=True)
        except PiDetectorError as error:
            print_error(str(error))
            code = code or error.exit_code
    return code


def _installed() -> dict[str, Path]:
    """The installed bundles by the name of their folder.

    Raises:
        ModelNotFoundError: none is installed.
    """
    from pi_detector.detector.bundle import find_bundles

    found = {path.name: path for path in find_bundles()}
    if not found:
        raise ModelNotFoundError("models: no bundle is installed; reinstall pi-detector")
    return found


def _load(name: str, labels: str) -> Bundle:
    """Load a model by name or path; the default model if ``name`` is empty."""
    from pi_detector.config.settings import ModelSettings
    from pi_detector.detector.bundle import load_model

    return load_model(ModelSettings(path=name, labels=labels))


def _verified(bundle: Bundle) -> str:
    import time

    import numpy as np

    from pi_detector.core.clock import utc_now
    from pi_detector.core.frame import Frame
    from pi_detector.detector.detector import Detector

    detector = Detector(bundle)
    height, width = detector.input_size
    grey = np.full((height, width, 3), 128, np.uint8)
    frame = Frame(grey, 0, time.monotonic_ns(), utc_now(), "verify")
    detector.run(detector.prepare(frame))
    vouched = "SHA-256 matches" if bundle.manifest else "no manifest, SHA-256 unknown"
    return f"{bundle.path}: ok, {vouched}, runs on {detector.runtime}"


def _facts(bundle: Bundle) -> Iterator[tuple[str, object]]:
    yield "name", bundle.name
    yield "path", bundle.path
    yield "size", f"{len(bundle.model) / 1e6:.1f} MB"
    yield "sha256", bundle.sha256
    manifest = bundle.manifest
    if manifest is not None:
        yield "version", manifest.model.version
        yield "description", manifest.model.description
        yield "architecture", manifest.model.architecture
        yield "licence", manifest.model.licence
        size = f"{manifest.input.width}x{manifest.input.height}"
        yield "input", f"{size} {manifest.input.dtype} {manifest.input.colour}"
    scores = bundle.default_scores()
    for label in bundle.labels:
        yield f"label {label.id}", f"{label.name}, from score {scores[label.name]:g}"
    if manifest is not None:
        yield from _flat("training", manifest.training)
        yield from _flat("figures", manifest.figures)


def _flat(prefix: str, tree: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The leaves of a tree, named by their dotted path."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}", value
