"""How this pi-detector was installed, and so how to install what is missing.

pi-detector is on no package index, so ``pip install`` of its name does not help; the advice depends
on where it was installed from.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

_NAME = "pi-detector"
# The environments of systemd/install.sh and of the Debian package, which has the wheels as well.
_SERVICE = Path("/opt/pi-detector")
_PACKAGE = Path("/usr/lib/pi-detector/wheels")
# What the environment of the service has, by install.sh or the package.
_OF_SERVICE = frozenset({"", "web"})
_DEBIAN_MODULES = "/usr/lib/python3/dist-packages"
_DEBIAN_PACKAGES = {
    "clips": "python3-av",
    "notify": "apprise",
    "picamera": "python3-picamera2",
    "systemd": "python3-systemd",
}
# pip would have to compile them.
_WITHOUT_WHEELS = frozenset({"picamera", "systemd"})


def how_to_install(extra: str = "") -> str:
    """What a user does here to have the packages of an extra, or those that are always needed.

    Args:
        extra: of pyproject.toml; "" for the dependencies of pi-detector itself.

    Returns:
        A command to paste, most often; fits behind "to install it: ".
    """
    if package := _DEBIAN_PACKAGES.get(extra):
        if _DEBIAN_MODULES in sys.path:
            return f"sudo apt install {package}"
        if extra in _WITHOUT_WHEELS:
            return (
                f"sudo apt install {package}, and make the virtual environment with "
                "--system-site-packages"
            )
    if _in_service():
        return _for_service(extra)
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    checkout, editable = _checkout()
    if checkout is not None:
        target = f"{checkout}[{extra}]" if extra else str(checkout)
        return f"{pip} {'-e ' if editable else ''}{shlex.quote(target)}"
    return " ".join([pip, *map(shlex.quote, requirements(extra))])


def in_checkout() -> bool:
    """Whether this is a checkout that pip installed for development, as ``make run`` does."""
    folder, editable = _checkout()
    return folder is not None and editable


def requirements(extra: str) -> list[str]:
    """The requirements of an extra, or with "" of pi-detector itself, without their conditions."""
    # Not at the top, here and below: it costs a fifth of the time that '--help' takes.
    from importlib import metadata

    found = []
    for line in metadata.requires(_NAME) or []:
        requirement, _, condition = line.partition(";")
        of_extra = re.search(r"extra == ['\"]([^'\"]+)", condition)
        if (of_extra[1] if of_extra else "") == extra:
            found.append(requirement.strip())
    return found


def import_compiled(module: str) -> ModuleType:
    """Import a module with compiled parts, which fails in more ways than one.

    A module that was compiled for another numpy raises SystemError, AttributeError or ValueError,
    and numpy writes a page about it to standard error.

    Raises:
        ImportError: it is not there, or cannot be used; the message is one line.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return importlib.import_module(module)
    except (ImportError, SystemError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ImportError(f"{type(error).__name__}: {reason}", name=module) from error


def _in_service() -> bool:
    """Whether this is the environment of the service: the link, or one of the folders behind it."""
    folder = Path(sys.prefix).resolve()
    return folder.parent == _SERVICE.parent and folder.name.split(".")[0] == _SERVICE.name


def _for_service(extra: str) -> str:
    if extra not in _OF_SERVICE:
        return f"not a part of the service; make an environment from a checkout of {_NAME}"
    if _PACKAGE.is_dir():
        return f"sudo dpkg-reconfigure {_NAME}"
    return "sudo systemd/install.sh, in the checkout"


def _checkout() -> tuple[Path | None, bool]:
    """The folder that pip installed from, if it is still there, and whether it is imported."""
    from importlib import metadata

    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except metadata.PackageNotFoundError:  # run from its folder, and never installed
        return Path(__file__).parents[2], True
    folder = Path(unquote(urlsplit(origin.get("url", "")).path))
    if "dir_info" not in origin or not (folder / "pyproject.toml").is_file():
        return None, False
    return folder, bool(origin["dir_info"].get("editable"))
