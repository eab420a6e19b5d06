"""Finding what tools name as they like: other case, other folders, paths of another computer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.data.formats.base import DatasetError, find_photos


def glob_any_case(folder: Path, pattern: str) -> Iterator[Path]:
    """What ``folder.glob(pattern)`` finds whatever the case of letters is.

    >>> next(glob_any_case(Path("/"), "ETC")).name
    'etc'
    """
    return folder.glob(re.sub(r"[a-zA-Z]", lambda m: f"[{m[0].lower()}{m[0].upper()}]", pattern))


def child(folder: Path, name: str) -> Path:
    """A file or folder in a folder, whatever its case; the path as named where there is none."""
    exact = folder / name
    if exact.exists():
        return exact
    return next(glob_any_case(folder, name), exact)


def relative_name(text: str) -> str:
    r"""A file name of any system as one below a folder: no drive, no root, no parents.

    >>> relative_name("C:\\Users\\me\\a.jpg"), relative_name("../../etc/x.png")
    ('Users/me/a.jpg', 'etc/x.png')
    """
    text = re.sub(r"^[a-zA-Z]:", "", text.strip().replace("\\", "/"))
    return "/".join(part for part in text.split("/") if part not in ("", ".", ".."))


class PhotoFinder:
    """Finds the photos that an annotation file names.

    Args:
        folders: where they are looked for by their name, in order.
        roots: folders that are searched, with all below, where that finds nothing.
    """

    def __init__(self, folders: Sequence[Path], roots: Sequence[Path]) -> None:
        self.folders = folders
        self.roots = roots
        self._all: dict[str, list[Path]] | None = None

    def find(self, stated: str) -> Path:
        """The photo of a stated name.

        Raises:
            DatasetError: there is none, or several have this name.
        """
        name = relative_name(stated)
        if not name or len(name.encode("utf-8", "replace")) > 4000 or not name.isprintable():
            raise DatasetError(f"{stated!r} names no photo")
        base = name.rsplit("/", 1)[-1]
        for folder in self.folders:
            for each in (name, base):
                if len(base.encode()) < 256 and (folder / each).is_file():
                    return folder / each
        rivals = self._index().get(base.lower(), [])
        tail = name.lower().split("/")
        for length in range(len(tail), 0, -1):
            ending = "/" + "/".join(tail[-length:])
            same = [path for path in rivals if path.as_posix().lower().endswith(ending)]
            if len(same) == 1:
                return same[0]
            if same:
                raise DatasetError(f"{stated!r} may be {same[0]} or {same[1]}; give --photos")
        looked = ", ".join(map(str, self.roots))
        raise DatasetError(f"there is no photo {stated!r} in {looked} or below; add it")

    def _index(self) -> dict[str, list[Path]]:
        if self._all is None:
            self._all = defaultdict(list)
            for path in {path for root in self.roots for path in find_photos(root)}:
                self._all[path.name.lower()].append(path)
        return self._all
