"""``python -m deploy dataset``: import, split, merge, check and show data sets."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from deploy.data.formats import FORMATS


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the group ``dataset`` to the commands."""
    text = "import, split, merge, check and show data sets"
    group = commands.add_parser("dataset", help=text, description=text)
    verbs = group.add_subparsers(required=True, metavar="VERB")

    def add(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    take = add(
        "import", _import, "convert Pascal VOC, YOLO, TFRecord or COCO to what `train` reads"
    )
    take.add_argument("path", type=Path, metavar="SRC", help="folder or file of the source")
    take.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR/train.json",
        help="annotation file to write; the photos go to DIR/train/",
    )
    take.add_argument("--format", choices=FORMATS, help="format of SRC (default: detected)")
    take.add_argument("--split", help="the part of a source that has several: train, val, ...")
    take.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="the source's photos, if not beside its annotations",
    )
    take.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="names of numbered classes: one per line (YOLO from 0, TFRecord from 1), "
        "data.yaml or label_map.pbtxt",
    )
    take.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="ids to use: a COCO file's categories, or a labels file (from 1)",
    )
    take.add_argument(
        "--rename",
        type=_rename,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="new name of a class; may be repeated",
    )
    take.add_argument("--only", type=_list, metavar="A,B", help="drop all other classes")
    take.add_argument(
        "--labelled",
        type=_list,
        metavar="A,B",
        help="classes annotated exhaustively in every photo (default: all of the "
        "source); the absence of others teaches nothing",
    )
    take.add_argument(
        "--strict", action="store_true", help="stop at the first photo that cannot be used"
    )
    take.add_argument("--source", default="", help="where the photos come from: balances sampling")

    cut = add("split", _split, "cut one in training and validation; look-alikes stay together")
    cut.add_argument("annotations", type=Path, metavar="JSON")
    cut.add_argument("--out", type=Path, required=True, metavar="DIR",
                     help="folder for train.json, train/, val.json, val/")  # fmt: skip
    cut.add_argument("--val", type=float, default=0.2, metavar="SHARE",
                     help="share of the photos for validation (default: %(default)s)")  # fmt: skip
    cut.add_argument("--gap", type=float, default=60.0, metavar="S",
                     help="a camera's photos within this time stay together (60)")  # fmt: skip
    cut.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the photos (default: named as the annotation file)",
    )
    cut.add_argument("--seed", type=int, default=1, help="another seed, another choice")

    join = add("merge", _merge, "put data sets together; classes go by name")
    join.add_argument("annotations", type=Path, nargs="+", metavar="JSON")
    join.add_argument("--out", type=Path, required=True, metavar="DIR/train.json",
                      help="annotation file to write; the photos go to DIR/train/")  # fmt: skip

    look = add("check", _check, "find defects, look-alikes between splits, and the class balance")
    look.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="DIR_OR_JSON",
        help="folder with train.json, val.json; or annotation files",
    )
    look.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the photos (default: named as the annotation file)",
    )
    look.add_argument(
        "--alike",
        type=int,
        default=None,
        metavar="BITS",
        help="photos whose 64-bit hashes differ in no more bits look alike",
    )
    look.add_argument("--json", action="store_true", help="the report as JSON")

    show = add("show", _show, "draw photos with their boxes on a contact sheet")
    show.add_argument("annotations", type=Path, metavar="JSON")
    show.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the photos (default: named as the annotation file)",
    )
    show.add_argument("--out", type=Path, required=True, metavar="FILE", help=".jpg or .png")
    show.add_argument("--count", type=_positive, default=24)
    show.add_argument("--class", dest="label", help="only photos with an object of this class")
    show.add_argument("--seed", type=int, default=1, help="another seed, other photos")


def _list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _rename(text: str) -> tuple[str, str]:
    old, equals, new = (part.strip() for part in text.partition("="))
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _import(arguments: argparse.Namespace) -> None:
    from deploy.data.formats import ReadOptions, detect_format, open_source
    from deploy.data.formats.importing import ImportPlan, import_dataset
    from deploy.data.formats.labels import read_class_ids, read_class_names

    name = arguments.format or detect_format(arguments.path)
    first = 1 if name == "tfrecord" else 0
    options = ReadOptions(
        photos=arguments.photos,
        split=arguments.split,
        names=read_class_names(arguments.names, first) if arguments.names else {},
    )
    plan = ImportPlan(
        out=arguments.out,
        ids=read_class_ids(arguments.classes) if arguments.classes else None,
        labelled=arguments.labelled,
        rename=dict(arguments.rename),
        only=arguments.only,
        source=arguments.source,
        strict=arguments.strict,
    )
    report = import_dataset(open_source(arguments.path, options, name), plan)
    print("\n".join([f"{arguments.out}: from {name}", *report.lines()]))


def _split(arguments: argparse.Namespace) -> None:
    from deploy.data.parts import SplitPlan, split_dataset, summary

    images = arguments.images or arguments.annotations.with_suffix("")
    plan = SplitPlan(arguments.val, arguments.seed, arguments.gap)
    parts = split_dataset(arguments.annotations, images, arguments.out, plan)
    for name, content in parts.items():
        print(summary(str(arguments.out / f"{name}.json"), content))


def _merge(arguments: argparse.Namespace) -> None:
    from deploy.data.parts import merge_datasets, summary

    print(summary(str(arguments.out), merge_datasets(arguments.annotations, arguments.out)))


def _check(arguments: argparse.Namespace) -> None:
    import msgspec

    from deploy.data import check
    from deploy.data.alike import ALIKE_BITS
    from deploy.data.dataset import DatasetError

    files = check.find_splits(arguments.paths)
    bits = ALIKE_BITS if arguments.alike is None else arguments.alike
    report = check.check(files, arguments.images, bits)
    if arguments.json:
        content = {**msgspec.to_builtins(report), "errors": report.errors}
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print("\n".join(check.lines(report)))
    if report.errors:
        raise DatasetError(
            f"{report.errors} errors in {', '.join(map(str, files))}; see the report"
        )


def _show(arguments: argparse.Namespace) -> None:
    from deploy.data.contact_sheet import choose_photos, contact_sheet, write_sheet
    from deploy.data.dataset import load_coco

    images = arguments.images or arguments.annotations.with_suffix("")
    dataset = load_coco(arguments.annotations, images)
    photos = choose_photos(dataset, arguments.count, arguments.label, arguments.seed)
    write_sheet(contact_sheet(dataset, photos), arguments.out)
    print(f"{arguments.out}: {len(photos)} of {len(dataset.photos)} photos")
