"""Commands ``pseudo-label``, ``train`` and ``qat``."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

# The first blocks see edges and colours, which ImageNet has taught them already; to leave them
# alone saves a third of the training time.
WARM_FROZEN_BLOCKS = 3
# The weights are good already: a short warm-up fills the optimizer's averages.
QAT_WARMUP_STEPS = 50


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the command line."""
    text = "fill unannotated classes from trained detectors"
    pseudo = commands.add_parser("pseudo-label", help=text, description=text)
    pseudo.set_defaults(run=_pseudo_label)
    _add_data(pseudo)
    pseudo.add_argument("--teacher", action="append", required=True, metavar="MODEL[:LABELS]",
                        help="bundle, or bare .tflite with labels; may be repeated")  # fmt: skip
    pseudo.add_argument("--sure", type=float, default=0.5, help="score of an annotation")
    pseudo.add_argument("--doubt", type=float, default=0.25,
                        help="a score from here to --sure leaves the class unknown")  # fmt: skip
    pseudo.add_argument("--out", type=Path, required=True, help="annotation file to write")

    text = "train the float network; started again, it resumes"
    train = commands.add_parser("train", help=text, description=text)
    train.set_defaults(run=_train)
    _add_data(train)
    train.add_argument("--annotations", type=Path, metavar="FILE", help="instead of DIR/train.json")
    train.add_argument("--warm-start", type=Path, metavar="MODEL",
                       help="bundle to fine-tune, or quantized ImageNet MobileNetV2")  # fmt: skip
    train.add_argument("--phases", type=_phases, default="224x6,300x8", metavar="SIZExEPOCHS,...",
                       help="input sizes and epochs, in order (default: %(default)s)")  # fmt: skip
    train.add_argument("--width", type=float, default=1.0, help="multiplier of the channels")
    train.add_argument("--learning-rate", type=float, default=1e-3, help="peak of the schedule")
    _add_machine(train)

    text = "fine-tune a checkpoint for INT8 and quantize it; started again, it resumes"
    qat = commands.add_parser("qat", help=text, description=text)
    qat.set_defaults(run=_qat)
    _add_data(qat)
    qat.add_argument("--annotations", type=Path, metavar="FILE", help="instead of DIR/train.json")
    qat.add_argument("--checkpoint", type=Path, required=True, help="of a float network")
    qat.add_argument("--recipe", default="qat", help="name or file, with a table `qat`")
    _add_machine(qat)


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--batch", type=int, default=16, help="photos a step, over all processes")
    command.add_argument("--accumulate", type=int, default=1, metavar="N",
                         help="micro-batches a step and process, to save memory")  # fmt: skip
    command.add_argument("--workers", type=int, default=1, help="processes that load photos")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--bfloat16", action="store_true",
                         help="autocast, on hardware that has it")  # fmt: skip
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


def _pseudo_label(arguments: argparse.Namespace) -> None:
    from deploy.pseudo import PseudoSettings, Teacher, pseudo_label
    from pi_detector.config.settings import ModelSettings

    teachers = [t.partition(":") for t in arguments.teacher]
    report = pseudo_label(
        arguments.data / "train.json",
        arguments.data / "train",
        Teacher([ModelSettings(path=path, labels=labels) for path, _, labels in teachers]),
        arguments.out,
        PseudoSettings(sure=arguments.sure, doubt=arguments.doubt),
    )
    for label, row in report.items():
        print(f"{label:12} " + "  ".join(f"{key} {value}" for key, value in row.items()))


def _train(arguments: argparse.Namespace) -> None:
    from deploy.dataset import load_coco
    from deploy.network import NetworkSpec
    from deploy.train import Phase, Trainer, TrainSettings

    annotations = arguments.annotations or arguments.data / "train.json"
    dataset = load_coco(annotations, arguments.data / "train")
    settings = TrainSettings(
        phases=tuple(Phase(*phase) for phase in arguments.phases),
        learning_rate=arguments.learning_rate,
        frozen_blocks=WARM_FROZEN_BLOCKS if arguments.warm_start else 0,
        **_machine(arguments),
    )
    spec = NetworkSpec(
        len(dataset.categories), input_size=arguments.phases[-1][0], width=arguments.width
    )
    trainer = Trainer(spec, settings, arguments.out)
    if (arguments.out / "last.pt").exists():
        trainer.resume(arguments.out / "last.pt")
    elif arguments.warm_start:
        trainer.warm_start(*_start(arguments.warm_start), dataset)
    print(trainer.run(dataset))


def _start(path: Path) -> tuple[Path, str, list[dict]]:
    """The model file to start from, its name, and how it was trained itself, if that is known."""
    if not path.is_dir():
        return path, path.name, []
    manifest = tomllib.loads((path / "manifest.toml").read_text("utf-8"))
    model = manifest["model"]
    lineage = manifest.get("training", {}).get("lineage", [])
    return path / model["file"], f"{model['name']} {model['version']}", lineage


def _qat(arguments: argparse.Namespace) -> None:
    from deploy.checkpoint import load_network
    from deploy.dataset import load_coco
    from deploy.qat import train_quantized
    from deploy.recipes import find_recipe
    from deploy.train import Phase, TrainSettings

    recipe = find_recipe(arguments.recipe)
    if recipe.qat is None:
        raise ValueError(f"recipe {recipe.name!r} has no table `qat`")
    annotations = arguments.annotations or arguments.data / "train.json"
    dataset = load_coco(annotations, arguments.data / "train")
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
