"""Commands ``pseudo-label``, ``train`` and ``qat``."""

from __future__ import annotations

import argparse
import logging
import tomllib
from pathlib import Path

from deploy.training.schedule import FEW_FROZEN_BLOCKS, FEW_MOSAIC, FEW_STEPS

log = logging.getLogger(__name__)

FEWEST_STEPS = 100
"""With fewer the rate is hardly at its peak, and the network is what it was."""

# The weights are good already: a short warm-up fills the optimizer's averages.
QAT_WARMUP_STEPS = 50


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the command line."""
    text = "fill unannotated classes from trained detectors"
    pseudo = commands.add_parser("pseudo-label", help=text, description=text)
    pseudo.set_defaults(run=_pseudo_label)
    _add_data(pseudo)
    teachers = pseudo.add_mutually_exclusive_group(required=True)
    teachers.add_argument("--teacher", action="append", metavar="MODEL[:LABELS]",
                          help="bundle, or bare .tflite with labels; may be repeated")  # fmt: skip
    teachers.add_argument("--detections", type=Path, metavar="FILE",
                          help="COCO results of any detector on the photos of train.json, or "
                          "`id, score, x, y, w, h` by file name")  # fmt: skip
    pseudo.add_argument("--coco-classes", action="store_true",
                        help="fill all classes of COCO, not those of train.json alone")  # fmt: skip
    pseudo.add_argument("--sure", type=float, default=0.42,
                        help="score of an annotation, where it cannot be measured")  # fmt: skip
    pseudo.add_argument("--doubt", type=float, default=0.22,
                        help="score of a box to ignore, where it cannot be measured")  # fmt: skip
    pseudo.add_argument("--out", type=Path, required=True, help="annotation file to write")

    text = "train the float network; started again, it resumes"
    train = commands.add_parser("train", help=text, description=text)
    train.set_defaults(run=_train)
    _add_data(train)
    train.add_argument(
        "--annotations", type=Path, metavar="FILE", help="annotations, instead of DIR/train.json"
    )
    train.add_argument("--warm-start", type=Path, metavar="MODEL",
                       help="bundle, checkpoint, COCO's SSDLite-MobileNetV2 (.npz), or "
                       "quantized ImageNet MobileNetV2: what fits is taken")  # fmt: skip
    train.add_argument("--classes", type=_names, default=(), metavar="NAME,...",
                       help="classes to train, in order (default: all annotated)")  # fmt: skip
    train.add_argument("--teacher", type=Path, metavar="MODEL",
                       help="have a model (as of --warm-start) teach every anchor")  # fmt: skip
    train.add_argument("--teacher-weight", type=float, default=1.0, metavar="W",
                       help="weight of the teacher's outputs (default: %(default)s)")  # fmt: skip
    train.add_argument("--pull", type=float, default=0.0, metavar="W",
                       help="pull towards teacher weights (default: %(default)s)")  # fmt: skip
    train.add_argument("--only", type=_names, default=(), metavar="LAYER,...",
                       help="train only layers whose names begin so")  # fmt: skip
    train.add_argument("--keep-classes", type=_names, default=(), metavar="NAME,...",
                       help="classes of the model of --warm-start to keep beside those of the "
                       "photos, or `all`: it teaches them; only class heads learn")  # fmt: skip
    train.add_argument("--frozen-blocks", type=int, metavar="N",
                       help="blocks of the backbone that keep their weights (default: "
                       f"{FEW_FROZEN_BLOCKS} for few photos, else 0)")  # fmt: skip
    train.add_argument("--phases", type=_phases, metavar="SIZExEPOCHS,...",
                       help="input sizes and epochs, in order (default: 224x6,300x8; 288x10 for "
                       "few photos)")  # fmt: skip
    train.add_argument("--steps", type=int, metavar="N",
                       help="at least so many steps, where the epochs give fewer (default: "
                       f"{FEW_STEPS} for few photos, else 0)")  # fmt: skip
    train.add_argument("--mosaic", type=float, metavar="SHARE",
                       help="share of samples of four photos (default: 0.3; "
                       f"{FEW_MOSAIC} for few photos)")  # fmt: skip
    train.add_argument("--width", type=float, default=1.0, help="multiplier of the channels")
    train.add_argument("--learning-rate", type=float,
                       help="peak of the schedule (default: 1e-3; 5e-4 for few)")  # fmt: skip
    _add_machine(train)

    text = "make a checkpoint of another: some classes, another input size, a mean of two"
    other = commands.add_parser("derive", help=text, description=text)
    other.set_defaults(run=_derive)
    other.add_argument("checkpoint", type=Path)
    other.add_argument("--classes", type=_names, default=(), metavar="NAME,...",
                       help="classes to keep, in order (default: all)")  # fmt: skip
    other.add_argument("--input-size", type=int, default=0, metavar="PX")
    other.add_argument("--mean-with", type=Path, metavar="FILE",
                       help="another checkpoint, or what the training started from")  # fmt: skip
    other.add_argument(
        "--share", type=float, default=0.5, help="share of the other checkpoint in the mean"
    )
    other.add_argument("--out", type=Path, required=True, help="checkpoint to write")

    text = "fine-tune a checkpoint for INT8 and quantize it; started again, it resumes"
    qat = commands.add_parser("qat", help=text, description=text)
    qat.set_defaults(run=_qat)
    _add_data(qat)
    qat.add_argument(
        "--annotations", type=Path, metavar="FILE", help="annotations, instead of DIR/train.json"
    )
    qat.add_argument("--checkpoint", type=Path, required=True, help="checkpoint of a float network")
    qat.add_argument("--calibration-photos", type=int, metavar="N",
                     help="calibration photos, instead of the recipe's number")  # fmt: skip
    qat.add_argument("--recipe", default="qat", help="recipe name or file, with a table `qat`")
    _add_machine(qat)


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--batch", type=int, default=16, help="photos per step, over all processes"
    )
    command.add_argument("--accumulate", type=int, default=1, metavar="N",
                         help="micro-batches per step and process, to save memory")  # fmt: skip
    command.add_argument("--workers", type=int, default=1, help="processes that load photos")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--bfloat16", action="store_true",
                         help="type for autocast, on hardware that supports it")  # fmt: skip
    command.add_argument("--out", type=Path, required=True, help="folder of checkpoints and losses")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="DIR",
                         help="folder with train.json, train/, val.json, val/")  # fmt: skip


def _phases(text: str) -> tuple[tuple[int, int], ...]:
    try:
        phases = tuple((int(s), int(n)) for s, n in (p.split("x") for p in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not SIZExEPOCHS,...") from error
    if any(size < 96 or epochs < 1 for size, epochs in phases):
        raise argparse.ArgumentTypeError(f"{text!r}: sizes from 96 px, and at least one epoch each")
    return phases


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _pseudo_label(arguments: argparse.Namespace) -> None:
    import json

    from deploy.data import pseudo
    from pi_detector.config.settings import ModelSettings

    content = json.loads((arguments.data / "train.json").read_text("utf-8"))
    if arguments.coco_classes:
        pseudo.add_coco_classes(content)
    if arguments.detections:
        found = pseudo.read_detections(arguments.detections, content)
        names = [arguments.detections.name]
    else:
        models = [t.partition(":") for t in arguments.teacher]
        teacher = pseudo.Teacher([ModelSettings(path=p, labels=labels) for p, _, labels in models])
        found, names = pseudo.ask(teacher, content, arguments.data / "train"), teacher.names
    settings = pseudo.PseudoSettings(sure=arguments.sure, doubt=arguments.doubt)
    report = pseudo.pseudo_label(content, found, settings)
    content.setdefault("info", {})["pseudo_labels_of"] = names
    pseudo.write_annotations(content, arguments.out)
    for label, row in report.items():
        print(f"{label:14} " + "  ".join(f"{key} {value}" for key, value in row.items()))


def _train(arguments: argparse.Namespace) -> None:
    from deploy.data.dataset import load_coco
    from deploy.training.network import NetworkSpec
    from deploy.training.schedule import Wanted, schedule
    from deploy.training.settings import Phase, TrainSettings
    from deploy.training.train import Trainer

    annotations = arguments.annotations or arguments.data / "train.json"
    start = _start(arguments.warm_start) if arguments.warm_start else None
    keep = _kept_classes(arguments, start)
    dataset = load_coco(annotations, arguments.data / "train", arguments.classes)
    if keep:
        own = [c.name for c in dataset.categories]
        classes = list(dict.fromkeys((*keep, *own)))
        dataset = load_coco(annotations, arguments.data / "train", classes, lacking=True)
    # The weights of a detector bring their norms folded; those of a classifier need norms to become
    # a detector's.
    norms = start is None or not _is_detector(start[0])
    wanted = Wanted(arguments.phases, arguments.steps, arguments.learning_rate,
                    arguments.frozen_blocks, arguments.mosaic)  # fmt: skip
    plan = schedule(wanted, len(dataset.photos), detector=not norms)
    settings = TrainSettings(
        phases=tuple(Phase(*phase) for phase in plan.phases),
        least_steps=plan.least_steps,
        learning_rate=plan.learning_rate,
        # Folded weights are not free of scale: what shrinks them changes what they compute.
        weight_decay=0.05 if norms else 1e-4,
        frozen_blocks=plan.frozen_blocks,
        # What the kept classes share with the new ones keeps its weights, but for the class heads.
        only=arguments.only or (("classify.",) if keep else ()),
        mosaic=plan.mosaic,
        teacher_weight=arguments.teacher_weight,
        pull=arguments.pull,
        **_machine(arguments),
    )
    steps = settings.steps_per_epoch(len(dataset.photos)) * sum(e for _, e in plan.phases)
    log.info("%d photos, %d steps of %d samples", len(dataset.photos), steps, settings.batch)
    if steps < FEWEST_STEPS:
        log.warning("%d steps are too few to learn from: give --steps, or more epochs", steps)
    spec = NetworkSpec(
        len(dataset.categories),
        input_size=plan.phases[-1][0],
        width=arguments.width,
        norms=norms,
    )
    trainer = Trainer(spec, settings, arguments.out)
    if (arguments.out / "last.pt").exists():
        trainer.resume(arguments.out / "last.pt")
    else:
        if start is not None:
            trainer.warm_start(*start, dataset)
        if arguments.teacher:
            file, name, _ = _start(arguments.teacher)
            trainer.learn_from(file, name, dataset)
        elif keep and start is not None:
            trainer.learn_from(start[0], start[1], dataset, strict=True)
    print(trainer.run(dataset))


def _kept_classes(
    arguments: argparse.Namespace, start: tuple[Path, str, list[dict]] | None
) -> list[str]:
    """The classes of the model of the warm start that are to be kept."""
    from deploy.training.warmstart import known_labels, read_weights

    if not arguments.keep_classes:
        return []
    if start is None:
        raise ValueError("--keep-classes: keeps classes of the model of --warm-start; name one")
    known = list(read_weights(start[0], known_labels(start[0])).labels)
    if arguments.keep_classes == ("all",):
        return known
    if unknown := [name for name in arguments.keep_classes if name not in known]:
        raise ValueError(
            f"--keep-classes: {start[1]} has no class {unknown[0]!r}; it has {', '.join(known)}"
        )
    return list(arguments.keep_classes)


def _derive(arguments: argparse.Namespace) -> None:
    from deploy.training.derive import Derivation, derive

    wanted = Derivation(
        arguments.classes, arguments.input_size, arguments.mean_with, arguments.share
    )
    derive(arguments.checkpoint, wanted, arguments.out)
    print(arguments.out)


def _is_detector(file: Path) -> bool:
    from deploy.training.warmstart import known_labels, read_weights

    weights = read_weights(file, known_labels(file))
    return any(name.startswith("classify.") for name in weights.layers)


def _start(path: Path) -> tuple[Path, str, list[dict]]:
    """The model file to start from, its name, and how it was trained itself, if that is known."""
    if path.suffix == ".pt":
        from deploy.training.checkpoint import lineage

        return path, path.name, lineage(path)
    if not path.is_dir():
        return path, path.name, []
    manifest = tomllib.loads((path / "manifest.toml").read_text("utf-8"))
    model = manifest["model"]
    lineage = manifest.get("training", {}).get("lineage", [])
    return path / model["file"], f"{model['name']} {model['version']}", lineage


def _qat(arguments: argparse.Namespace) -> None:
    from deploy.data.dataset import load_coco
    from deploy.quantization.qat import train_quantized
    from deploy.quantization.recipes import find_recipe
    from deploy.training.checkpoint import labels, load_network
    from deploy.training.settings import Phase, TrainSettings

    recipe = find_recipe(arguments.recipe)
    if recipe.qat is None:
        raise ValueError(f"recipe {recipe.name!r} has no table `qat`")
    if arguments.calibration_photos:
        recipe = recipe.with_photos(arguments.calibration_photos)
    annotations = arguments.annotations or arguments.data / "train.json"
    classes = labels(arguments.checkpoint)
    dataset = load_coco(annotations, arguments.data / "train", classes, lacking=True)
    size = load_network(arguments.checkpoint).spec.input_size
    settings = TrainSettings(
        phases=(Phase(size, recipe.qat.epochs),),
        learning_rate=recipe.qat.learning_rate,
        warmup_steps=QAT_WARMUP_STEPS,
        **_machine(arguments),
    )
    print(train_quantized(arguments.checkpoint, recipe, dataset, settings, arguments.out))


def _machine(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings of ``TrainSettings`` that `train` and `qat` share."""
    names = ("batch", "accumulate", "workers", "seed", "bfloat16")
    return {name: getattr(arguments, name) for name in names}
