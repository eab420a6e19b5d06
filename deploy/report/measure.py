"""Runs every recipe, measures every model, and gathers a ``Report``."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

from deploy.data.dataset import Dataset, load_coco, narrow, read_photo
from deploy.evaluation.bootstrap import Matches, difference
from deploy.evaluation.confusion import confusion
from deploy.evaluation.evaluate import detect_photos, shipped_thresholds
from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import Metrics, measure, scores_to_ship
from deploy.files import write_aside
from deploy.packaging.package import BundleInfo, write_bundle
from deploy.quantization.quantize import calibration_inputs, input_size, quantize, read_network
from deploy.quantization.recipes import Recipe, find_recipe, list_recipes
from deploy.report.conclude import choose, compare_training
from deploy.report.content import Elsewhere, Kind, Report, Row
from deploy.report.elsewhere import PhotoSet, by_source, elsewhere, photo_set
from deploy.report.examples import Disagreement
from deploy.report.graph import graph_facts
from deploy.report.instructions import count_instructions
from deploy.report.latency import TFLITE, Timing, measure_latency, runtimes
from deploy.training.network import NetworkSpec
from pi_detector.config.settings import ModelSettings
from pi_detector.errors import PiDetectorError

log = logging.getLogger(__name__)

FLOAT = "float32"
Pictures = list[tuple[bytes, bytes]]
"""Pairs of JPEGs, float32's and the quantized model's, in the order of the examples."""

_NEEDS_TRAINING = (
    "trains before it quantizes: `python -m deploy qat` does; give its file with "
    "--extra {name}=FILE.tflite"
)


class ReportError(ValueError):
    """A report that cannot be made; the message names the cause and the fix."""


@dataclass(frozen=True)
class ReportPlan:
    """What a report is made of.

    Attributes:
        data: folder with `train.json`, `train/`, `val.json`, `val/`; `far.json` and `far/`, where
            they are, hold photos of other places.
        float_model: the float .tflite file of our network.
        out: folder of the report; its `models` holds the quantized files.
        annotations: of the training photos, instead of `train.json`.
        classes: of the network, in its order; none means all that are annotated.
        recipes: names or files; none means all of the project's.
        references: other detectors, which the table shows beside ours.
        extras: further files of our network, by the name to show; one that is named like a recipe
            stands for it.
        photos: validation photos, evenly spread; 0 takes all.
        examples: photos to show.
        timing: how to time.
        arm64: folder of `tests/system/arm64/run.sh`, for counting instructions.
    """

    data: Path
    float_model: Path
    out: Path
    annotations: Path | None = None
    classes: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    references: tuple[ModelSettings, ...] = ()
    extras: Mapping[str, Path] = field(default_factory=dict)
    photos: int = 0
    examples: int = 6
    timing: Timing = field(default_factory=Timing)
    arm64: Path = Path("build/arm64-bookworm")


@dataclass
class _Measured:
    """A model with what the report derives figures from, beside its row."""

    row: Row
    file: Path
    results: list[dict] = field(default_factory=list)
    matches: Matches | None = None


def make_report(plan: ReportPlan) -> tuple[Report, Pictures]:
    """Quantize, measure and conclude.

    Raises:
        ReportError: the float model cannot be measured, or a name is given twice.
        DatasetError, RecipeError, QuantizationError: see there.
    """
    return _Run(plan).report()


class _Run:
    """One run: the state that its steps share."""

    def __init__(self, plan: ReportPlan) -> None:
        self.plan = plan
        for name, file in plan.extras.items():
            if not file.is_file():
                raise ReportError(f"{file}: no such file, which --extra {name}= names")
        self.recipes = [find_recipe(name) for name in plan.recipes] or list_recipes()
        train = plan.annotations or plan.data / "train.json"
        self.train = load_coco(train, plan.data / "train", plan.classes)
        self.val, self.photos_in_set = self._validation()
        self.far = self._far()
        self.dataset: Dataset = load_coco(self.val.annotations, self.val.images)
        self.size = input_size(read_network(plan.float_model))
        self.models: dict[str, _Measured] = {}

    def _validation(self) -> tuple[PhotoSet, int]:
        """The chosen photos, and how many there are to choose from."""
        content = json.loads(self._narrowed("val").read_text("utf-8"))
        images = content["images"]
        wanted = self.plan.photos or len(images)
        step = max(1.0, len(images) / wanted)
        chosen = [images[int(i * step)] for i in range(min(wanted, len(images)))]
        ids = {image["id"] for image in chosen}
        content["images"] = chosen
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
        work = self.plan.out / "models"
        text = json.dumps(content).encode()
        write_aside(work / "val.json", lambda file: file.write(text))
        return photo_set(work / "val.json", self.plan.data / "val", work), len(images)

    def _far(self) -> PhotoSet | None:
        """The photos of other places, if the data has some."""
        if not (self.plan.data / "far.json").exists():
            return None
        return photo_set(self._narrowed("far"), self.plan.data / "far", self.plan.out / "models")

    def _narrowed(self, name: str) -> Path:
        """Annotations of a set of photos, of the network's classes alone."""
        annotations = self.plan.data / f"{name}.json"
        load_coco(annotations, self.plan.data / name)
        classes = [category.name for category in self.train.categories]
        return narrow(annotations, classes, self.plan.out / "models" / f"{name}.json")

    def report(self) -> tuple[Report, Pictures]:
        """All steps."""
        self._our_models()
        self._references()
        notes = self._costs()
        rows = [model.row for model in self.models.values()]
        choice = choose(rows)
        matches = {name: m.matches for name, m in self.models.items() if m.matches}
        comparisons, comparison_note = compare_training(rows, matches)
        chosen = self.models[choice.name]
        scores = {label: c.score for label, c in chosen.row.metrics.classes.items()}
        compared, examples = self._examples(choice.name)
        report = Report(
            date=time.strftime("%Y-%m-%d"),
            machine=machine(),
            photos=len(self.dataset.photos),
            photos_in_set=self.photos_in_set,
            labels=[category.name for category in self.dataset.categories],
            rows=rows,
            not_measured=notes,
            comparisons=comparisons,
            comparison_note=comparison_note,
            choice=choice,
            thresholds=self._thresholds(),
            confusion=confusion(self.val.annotations, chosen.results, scores).tables(),
            compared=compared,
            examples=[example for example, _ in examples],
        )
        return report, [pictures for _, pictures in examples]

    def _our_models(self) -> None:
        self._add(FLOAT, self.plan.float_model, "float", "The network as it was trained",
                  types="float32 / float32")  # fmt: skip
        if failure := self.models[FLOAT].row.failure:
            raise ReportError(f"{self.plan.float_model}: cannot be measured ({failure})")
        extras = dict(self.plan.extras)
        for recipe in self.recipes:
            if recipe.weights == "float32":
                continue
            self._add_recipe(recipe, extras.pop(recipe.name, None))
        for name, file in extras.items():
            self._add(name, file, "extra", f"File {file.name}")

    def _add_recipe(self, recipe: Recipe, given: Path | None) -> None:
        file = given or self.plan.out / "models" / f"{recipe.name}.tflite"
        failure = ""
        if given is None and recipe.qat is not None:
            failure = _NEEDS_TRAINING.format(name=recipe.name)
        elif given is None:
            log.info("recipe %s", recipe.name)
            inputs = (
                calibration_inputs(self.train.photos, self.size, recipe.calibration)
                if recipe.calibrated
                else ()
            )
            try:
                quantize(self.plan.float_model, recipe, inputs, file)
            except (ValueError, RuntimeError, OSError) as error:
                failure = _one_line(error)
        self._add(
            recipe.name, file, "recipe", recipe.summary, failure,
            types=f"{recipe.weights} / {recipe.activations}", qat=recipe.qat is not None,
        )  # fmt: skip

    def _add(
        self,
        name: str,
        file: Path,
        kind: Kind,
        summary: str,
        failure: str = "",
        *,
        types: str = "",
        qat: bool = False,
    ) -> None:
        """Measure a file of our network in a bundle of its own; a failure is a row as well."""
        if name in self.models:
            raise ReportError(f"{name!r} names two models of the report; rename one")
        row = Row(name=name, kind=kind, summary=summary, types=types, qat=qat, failure=failure)
        self.models[name] = model = _Measured(row, file)
        if failure:
            return
        bundle = self.plan.out / "models" / f"bundle-{name}"
        spec = NetworkSpec(len(self.train.categories), self.size)
        info = BundleInfo(name, "0", summary, spec, self.train.categories)
        try:
            read_network(file)
            write_bundle(file, info, bundle)
            self._measure(model, ModelSettings(path=str(bundle)))
        except (ValueError, RuntimeError, OSError, PiDetectorError) as error:
            row.failure = _one_line(error)
            log.warning("%s: %s", name, row.failure)

    def _references(self) -> None:
        for settings in self.plan.references:
            name = Path(settings.path).stem
            if name in self.models:
                raise ReportError(f"{name!r} names two models of the report; rename one")
            row = Row(name=name, kind="reference", summary="Another detector, for comparison")
            path = Path(settings.path)
            file = path if path.is_file() else path / "model.tflite"
            self.models[name] = model = _Measured(row, file)
            try:
                self._measure(model, settings)
            except (ValueError, RuntimeError, OSError, PiDetectorError) as error:
                row.failure = _one_line(error)
                log.warning("%s: %s", name, row.failure)

    def _measure(self, model: _Measured, settings: ModelSettings) -> None:
        """Size, accuracy, what it loses to float32, and what its file holds."""
        row = model.row
        row.bytes = model.file.stat().st_size
        row.graph = graph_facts(model.file)
        annotations = self.val.annotations
        model.results = detect_photos(settings, annotations, self.val.images)
        model.matches = Matches(annotations, model.results)
        metrics = measure(annotations, model.results)
        base = self.models[FLOAT]
        if model is base:
            row.ap_drop, row.ap50_drop = 0.0, Interval(0.0, 0.0, 0.0)
        else:
            row.ap_drop = 100 * (base.row.metrics.ap - metrics.ap)
            row.ap50_drop = difference(base.matches, model.matches)
        row.metrics = metrics
        row.sources = by_source(self.val, model.results)
        if self.far is not None:
            row.elsewhere = self._elsewhere(self.far, metrics, settings, row.kind)
        if row.kind in ("recipe", "extra"):
            row.changes = self._disagreement(model).changes
        log.info("%s: mean AP50 %.4f", row.name, metrics.ap50)

    def _elsewhere(
        self, far: PhotoSet, val: Metrics, settings: ModelSettings, kind: Kind
    ) -> Elsewhere:
        """Figures on photos of other places; another network keeps its own thresholds."""
        results = detect_photos(settings, far.annotations, far.images)
        if kind == "reference":
            thresholds = shipped_thresholds(settings)
        else:
            thresholds = scores_to_ship([val, measure(far.annotations, results)])
        return elsewhere(far, results, thresholds)

    def _thresholds(self) -> dict[str, float]:
        classes = self.models[FLOAT].row.metrics.classes
        return {label: metrics.score for label, metrics in classes.items()}

    def _disagreement(self, model: _Measured) -> Disagreement:
        by_label = self._thresholds()
        # A class that no photo of the choice has annotated has no threshold, and counts nowhere.
        lowest = {c.id: by_label.get(c.name, float("inf")) for c in self.dataset.categories}
        return Disagreement(self.dataset, self.models[FLOAT].results, model.results, lowest)

    def _costs(self) -> list[str]:
        """Time and instructions of all models that run; what is missing, and why."""
        models = {name: m.file for name, m in self.models.items() if m.row.measured}
        photo = self.plan.out / "models" / "photo.npy"
        image = read_photo(self.dataset.photos[0].path)
        write_aside(photo, lambda file: np.save(file, image))
        times = measure_latency(models, FLOAT, photo, self.plan.timing)
        instructions, reason = count_instructions(models, photo, self.plan.arm64)
        for name in models:
            row = self.models[name].row
            row.latency = times.entries.get(name, [])
            row.latency_failures = times.failures.get(name, {})
            row.instructions = instructions.get(name)
        notes = []
        if TFLITE not in runtimes(self.plan.timing):
            notes.append(
                "Time in tflite-runtime: it is not installed; --tflite-python names a Python "
                "that has it."
            )
        if reason:
            notes.append(f"Instructions on aarch64: {reason}")
        return notes

    def _examples(self, chosen: str) -> tuple[str, list]:
        """The photos on which the chosen model, or else the smallest, differs from float32."""
        rows = [m.row for m in self.models.values() if m.row.changes is not None]
        if not rows:
            return "", []
        named = {row.name for row in rows}
        name = chosen if chosen in named else min(rows, key=lambda r: r.bytes).name
        return name, self._disagreement(self.models[name]).examples(self.plan.examples)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def machine() -> dict[str, str]:
    """What the report is made on."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "ai-edge-litert": metadata.version("ai-edge-litert"),
        "ai-edge-quantizer": metadata.version("ai-edge-quantizer"),
    }
