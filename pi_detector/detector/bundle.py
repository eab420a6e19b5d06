"""Models on disk: bundles (a folder with a manifest) and bare .tflite files with their labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import msgspec

from pi_detector.config.settings import ModelSettings
from pi_detector.detector.labels import check_count, parse_labels
from pi_detector.detector.labels_file import LABELS_FILE, labels_of, read_labels
from pi_detector.detector.manifest import Label, Manifest
from pi_detector.detector.runtime import read_model
from pi_detector.detector.tflite_file import POSTPROCESS, read_facts
from pi_detector.errors import BadLabelsError, BadModelError, ConfigError, ModelNotFoundError

DEFAULT_BUNDLE = "street"
MANIFEST_FILE = "manifest.toml"
BARE_MODEL_SCORE = 0.5
"""Lowest score of a detection by a model that does not say its own."""

MODEL_SUFFIXES = frozenset({".tflite", ".lite"})
"""Suffixes, in lower case, of a bare model's file."""

_SHORT_HASH = 12


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model and its metadata.

    Attributes:
        path: the bundle's folder, or the bare .tflite file.
        name: name for records and logs.
        model: the bytes of the .tflite file, of which the SHA-256 was taken.
        labels: labels in the order of the model's classes.
        manifest: manifest of a bundle; None for a bare model.
    """

    path: Path
    name: str
    model: bytes
    labels: tuple[Label, ...]
    manifest: Manifest | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the model, in hexadecimal."""
        return hashlib.sha256(self.model).hexdigest()

    def default_scores(self) -> dict[str, float]:
        """Lowest score of a detection, by label, as the model ships them."""
        if self.manifest is None:
            return {label.name: BARE_MODEL_SCORE for label in self.labels}
        scores = self.manifest.scores
        return {
            label.name: scores.by_label.get(label.name, scores.default) for label in self.labels
        }


def find_model(model: str | PathLike[str] = "", labels: str | PathLike[str] = "") -> Bundle:
    """As ``load_model``, of a name or path; see there."""
    return load_model(ModelSettings(path=str(model), labels=str(labels)))


def load_model(settings: ModelSettings) -> Bundle:
    """The model that the settings name: an installed bundle, a bundle folder, or a bare .tflite.

    A folder without a manifest, as models are downloaded, may hold one .tflite and its labels.

    Raises:
        ModelNotFoundError, BadModelError, BadLabelsError: see ``load_bundle`` and ``load_bare``.
        ConfigError: a labels file is given for a bundle, which has its own.
    """
    path = _find(settings.path)
    if path.is_dir() and not (path / MANIFEST_FILE).exists():
        path = only_model(path)
    if not path.is_dir():
        labels = Path(settings.labels).expanduser() if settings.labels else None
        return load_bare(path, labels)
    if settings.labels:
        raise ConfigError(
            f"model.labels: {path} is a bundle with its own labels; leave model.labels empty"
        )
    return load_bundle(path)


def takes_labels(name: str) -> bool:
    """Whether a model has its labels in a file of their own: not so a bundle.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    return not (_find(name) / MANIFEST_FILE).exists()


def load_bundle(path: Path) -> Bundle:
    """Read a bundle folder and check that its parts belong together.

    Raises:
        ModelNotFoundError: the folder or a file of it is missing.
        BadModelError: the manifest cannot be understood, or the model is not the one it names.
        BadLabelsError: `labels.txt` and the manifest disagree.
    """
    manifest = _read_manifest(path / MANIFEST_FILE)
    model = read_model(path / manifest.model.file)
    actual = hashlib.sha256(model).hexdigest()
    if actual != manifest.model.sha256:
        raise BadModelError(
            f"{path / manifest.model.file}: SHA-256 is {actual[:_SHORT_HASH]}..., the manifest "
            f"says {manifest.model.sha256[:_SHORT_HASH]}...; reinstall the model (check it with "
            "`pi-detector models verify`)"
        )
    named = _read_lines(path / LABELS_FILE)
    expected = [label.name for label in manifest.labels]
    if len(named) != len(expected):
        raise BadLabelsError(
            f"{path / LABELS_FILE}: has {len(named)} labels, the manifest has {len(expected)}; "
            "reinstall the model"
        )
    for line, (name, wanted) in enumerate(zip(named, expected, strict=True), start=1):
        if name != wanted:
            raise BadLabelsError(
                f"{path / LABELS_FILE}:{line}: is {name!r}, the manifest says {wanted!r}; "
                "reinstall the model"
            )
    check_count(len(named), str(path / LABELS_FILE), _class_count(model))
    return Bundle(path, manifest.model.name, model, manifest.labels, manifest)


def load_bare(path: Path, labels: Path | None = None) -> Bundle:
    """Read a bare .tflite file, of a model that ends in TFLite_Detection_PostProcess.

    The forms of a labels file are those of ``labels.parse_labels``. Ids count from 1, as COCO's do.

    Args:
        path: the model.
        labels: its labels file; None takes the one beside the model, such as `labels.txt`, or the
            one that the model itself carries.

    Raises:
        ModelNotFoundError: the model is missing.
        BadModelError: it is not a .tflite file, or one that needs a bundle.
        BadLabelsError: the labels file is missing, makes no sense, or does not fit the model.
    """
    model = read_model(path)
    try:
        data, place = labels_of(path, model, labels)
    except BadLabelsError:
        facts = read_facts(model)
        if facts is None or facts.custom_operators:
            raise
        # Most often a YOLO, whose labels are in itself.
        raise BadModelError(
            f"{path}: does not end in {POSTPROCESS}, as bare models must; `pi-detector models "
            f"import {path} --out DIR` makes a bundle of a YOLO, and names what it cannot use"
        ) from None
    names = parse_labels(data, place, _class_count(model))
    rows = tuple(Label(id=index, name=name) for index, name in enumerate(names, start=1))
    return Bundle(path, path.stem, model, rows)


def find_bundles() -> list[Path]:
    """The folders of the bundles that are installed, or lie in this checkout, by name."""
    found: dict[str, Path] = {}
    for root in _bundle_roots():
        for manifest in sorted(root.glob(f"*/{MANIFEST_FILE}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return [found[name] for name in sorted(found)]


def _bundle_roots() -> tuple[Path, Path]:
    """Where bundles lie: in the installed package, and in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return package / "models", package.parent / "models"


def _find(name: str) -> Path:
    """The path of a model; a name without a slash may be that of an installed bundle."""
    path = Path(name).expanduser()
    if name and (path.exists() or path.suffix.lower() in MODEL_SUFFIXES):
        return path
    installed = {bundle.name: bundle for bundle in find_bundles()}
    wanted = name or DEFAULT_BUNDLE
    if wanted not in installed:
        known = ", ".join(installed) or "none; reinstall pi-detector"
        raise ModelNotFoundError(
            f"{wanted}: no such model; use a bundle folder, a .tflite file, or the name of an "
            f"installed bundle ({known})"
        )
    return installed[wanted]


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise ModelNotFoundError(
            f"{path}: no such file; model.path must be a bundle folder or a .tflite file"
        ) from error
    except OSError as error:
        raise BadModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadModelError(f"{path}: {error}; reinstall the model") from error
    except RecursionError as error:
        raise BadModelError(f"{path}: nested too deeply; reinstall the model") from error


def only_model(folder: Path) -> Path:
    """The model of a folder without a manifest, as models are downloaded.

    Raises:
        ModelNotFoundError: it has none.
        BadModelError: it has several, or cannot be read.
    """
    try:
        models = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in MODEL_SUFFIXES and not path.name.startswith(".")
        )
    except OSError as error:
        raise BadModelError(f"{folder}: cannot be read ({error.strerror})") from error
    if not models:
        raise ModelNotFoundError(
            f"{folder / MANIFEST_FILE}: no such file, and no .tflite in this folder; model.path "
            "must be a bundle folder or a .tflite file"
        )
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise BadModelError(f"{folder}: has several models ({names}); name one of them")
    return models[0]


def _class_count(model: bytes) -> int | None:
    facts = read_facts(model)
    return None if facts is None else facts.class_count


def _read_lines(path: Path) -> list[str]:
    """The labels of a bundle, whose manifest says what each line must be."""
    try:
        text = read_labels(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLabelsError(f"{path}: cannot be read as text ({error})") from error
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    if not labels:
        raise BadLabelsError(f"{path}: empty; write one label per line")
    return labels
