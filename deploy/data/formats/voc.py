"""Pascal VOC: an XML file a photo, as LabelImg writes them."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from deploy.data.formats.base import (
    PHOTO_SUFFIXES,
    Box,
    DatasetError,
    Item,
    ReadOptions,
    Source,
    check_pixels,
    check_size,
    choose_split,
    each_item,
    photo_facts,
    read_bytes,
    read_text,
)
from deploy.data.formats.finding import child, glob_any_case


def open_voc(path: Path, options: ReadOptions) -> Source:
    """Open a folder of XML files, or one of them.

    Photos are looked for in ``options.photos``, beside the XML file, in ``JPEGImages`` and
    ``images`` beside its folder, and in the folder above. ``options.split`` names a list in
    ``ImageSets/Main``.

    Raises:
        DatasetError: it holds no annotation.
    """
    files = _annotation_files(path, options)
    if not files:
        raise DatasetError(f"{path}: holds no .xml annotation; is it a Pascal VOC folder?")
    return Source(None, each_item(files, str, lambda file: _item(file, options)))


def _annotation_files(path: Path, options: ReadOptions) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(f for f in glob_any_case(path, "**/*.xml") if not f.name.startswith("."))
    lists = {f.stem: f for f in glob_any_case(path, "ImageSets/Main/*.txt")}
    if options.split is None and not (lists.keys() & {"train", "val"}):
        return files
    split = choose_split((n for n in lists if "_" not in n), options.split, path)
    assert split is not None
    stems = {line.strip() for line in read_text(lists[split]).splitlines() if line.strip()}
    if missing := sorted(stems - {f.stem for f in files}):
        raise DatasetError(f"{lists[split]}: lists {missing[0]}, which has no .xml; add or remove")
    return [f for f in files if f.stem in stems]


def _item(file: Path, options: ReadOptions) -> Item:
    root = parse_xml(read_bytes(file), file)
    if root.tag != "annotation":
        raise DatasetError(f"{file}: is <{root.tag}>, not <annotation> of Pascal VOC; remove")
    photo = _find_photo(file, root, options.photos)
    size, _ = photo_facts(photo, str(photo))
    stated = (_number(root, "size/width", file), _number(root, "size/height", file))
    check_size((int(stated[0]), int(stated[1])), size, str(file))
    boxes = tuple(_box(each, file) for each in root.findall("object"))
    check_pixels((box.xyxy for box in boxes), str(file))
    return Item(str(file), photo.name, photo, size, tuple(_from_one(box) for box in boxes))


def parse_xml(data: bytes, where: Path) -> Element:
    """Parse XML that nobody vouches for.

    Entities can make a small file huge, or name other files. They need a document type, which
    no annotation has, so that a document type is refused.

    Raises:
        DatasetError: it is not well-formed, or has a document type.
    """
    parser, builder = expat.ParserCreate(), TreeBuilder()

    def refuse(*_: object) -> None:
        raise DatasetError(f"{where}: has a document type, which no annotation needs; remove it")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{where}: is not well-formed XML ({error}); annotate it again") from (
            error
        )
    return builder.close()


def _find_photo(file: Path, root: Element, folder: Path | None) -> Path:
    # Tools write a whole path here, also one of Windows, or forget the suffix.
    stated = PurePosixPath((root.findtext("filename") or "").strip().replace("\\", "/")).name
    stated = "".join(c for c in stated if c.isprintable())
    beside = file.parent
    above = beside.parent
    folders = [beside, child(above, "JPEGImages"), child(above, "images"), above]
    names = [stated] if stated.lower().endswith(PHOTO_SUFFIXES) else []
    suffixes = [s for suffix in PHOTO_SUFFIXES for s in (suffix, suffix.upper())]
    names += [stem + suffix for stem in {stated: 0, file.stem: 0} if stem for suffix in suffixes]
    for place in [folder] if folder else folders:
        for name in names:
            if len(name.encode()) < 256 and (found := _photo_named(place, name)):
                return found
    looked = folder or f"{beside} and the folders around it"
    raise DatasetError(
        f"{file}: its photo {stated or file.stem!r} is not in {looked}; add it, or name its "
        "folder with --photos"
    )


def _photo_named(folder: Path, name: str) -> Path | None:
    """A file of a folder, whatever the case of its letters."""
    exact = folder / name
    if exact.is_file():
        return exact
    listed = _listing(folder)
    return folder / listed[name.lower()] if name.lower() in listed else None


@functools.lru_cache(maxsize=64)
def _listing(folder: Path) -> dict[str, str]:
    """The photos of a folder, by their names in lower case."""
    if not folder.is_dir():
        return {}
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in PHOTO_SUFFIXES)
    return {f.name.lower(): f.name for f in files if f.is_file()}


def _box(element: Element, file: Path) -> Box:
    label = (element.findtext("name") or "").strip()
    bounds = element.find("bndbox")
    if not label or bounds is None:
        missing = "<bndbox>" if label else "<name>"
        raise DatasetError(f"{file}: an <object> has no {missing}; annotate it again")
    xmin, ymin, xmax, ymax = (
        _number(bounds, corner, file, required=True) for corner in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = (element.findtext("difficult") or "").strip().lower() in ("1", "true")
    return Box(label, (xmin, ymin, xmax, ymax), difficult)


def _from_one(box: Box) -> Box:
    """The box in pixels from 0, its right and lower border outside.

    The first pixel is number 1 in Pascal VOC, and a box's last pixel belongs to it. Some tools
    count from 0, which moves their left and upper borders by a pixel at most.
    """
    xmin, ymin, xmax, ymax = box.xyxy
    return Box(box.label, (max(0.0, xmin - 1), max(0.0, ymin - 1), xmax, ymax), box.difficult)


def _number(element: Element, name: str, file: Path, *, required: bool = False) -> float:
    text = (element.findtext(name) or "").strip()
    if not text and not required:
        return 0.0
    try:
        number = float(text)
    except ValueError as error:
        raise DatasetError(f"{file}: <{name}> is {text!r}, not a number; correct it") from error
    if not abs(number) < 1e9:
        raise DatasetError(f"{file}: <{name}> is {text!r}, out of range; correct it")
    return number
