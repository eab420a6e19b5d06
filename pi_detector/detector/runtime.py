"""A common interface to the two interpreters of .tflite models: LiteRT and tflite-runtime.

LiteRT validates the structure of a model before reading it, which catches most damage, but aborts
on some; tflite-runtime 2.14 crashes on a truncated file. So a model without a trusted SHA-256 is
first tried in a confined process.
"""

from __future__ import annotations

import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pi_detector.detector.refusal import what_it_is, why_not
from pi_detector.detector.tflite_file import read_facts
from pi_detector.errors import BadModelError, ModelNotFoundError, RuntimeMissingError
from pi_detector.util.installation import how_to_install, import_compiled

RuntimeName = Literal["litert", "tflite"]

IDENTIFIER = b"TFL3"
MAX_AUTO_THREADS = 4
MAX_MODEL_BYTES = 512 * 1024 * 1024
MAX_ELEMENTS = 1 << 28
"""Most elements of a tensor of a model that nobody vouches for."""
PROBE_TIMEOUT_S = 120.0

_PACKAGES: Mapping[RuntimeName, str] = {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}
# The extra of pyproject.toml that has it; LiteRT comes with pi-detector.
_EXTRAS: Mapping[RuntimeName, str] = {"litert": "", "tflite": "tflite"}
_LITERT_MACHINES = frozenset({"x86_64", "aarch64"})
_MODULES: Mapping[RuntimeName, str] = {
    "litert": "ai_edge_litert.interpreter",
    "tflite": "tflite_runtime.interpreter",
}
_PROBE = """
import importlib, os, resource, sys
from pi_detector.util.confinement.confine import Needs, confine, limit
module = importlib.import_module(sys.argv[1])
model = sys.stdin.buffer.read()
memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
limit(resource.RLIMIT_DATA, max(memory // 2, 1 << 29))
confine(Needs())
interpreter = module.Interpreter(model_content=model, num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
"""


class Interpreter(Protocol):
    """What is used of an interpreter; both runtimes have it."""

    def allocate_tensors(self) -> None:
        """Lay out the memory of all tensors."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """What the inputs are, see ``tensor_info``."""

    def get_output_details(self) -> list[dict[str, Any]]:
        """What the outputs are, see ``tensor_info``."""

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives a view into a tensor; no view may live during ``invoke``."""

    def invoke(self) -> None:
        """Run the model. Releases the GIL."""


def installed_runtimes() -> list[RuntimeName]:
    """The installed runtimes, preferred first. Imports nothing of them."""
    return [name for name, module in _MODULES.items() if find_spec(module.partition(".")[0])]


def available_runtimes() -> dict[RuntimeName, str]:
    """The installed runtimes, preferred first, with their versions. Imports nothing of them."""
    # Not at the top: it brings zipfile, email and more, which a start need not pay for.
    from importlib import metadata

    found: dict[RuntimeName, str] = {}
    for name in installed_runtimes():
        try:
            found[name] = metadata.version(_PACKAGES[name])
        except metadata.PackageNotFoundError:  # a build under another name
            found[name] = "unknown"
    return found


def choose_runtime(wanted: Literal["auto", "litert", "tflite"]) -> RuntimeName:
    """The runtime to use: LiteRT where it is installed, unless another one is asked for.

    Raises:
        RuntimeMissingError: it, or any, is not installed.
    """
    found = installed_runtimes()
    if wanted == "auto":
        if not found:
            raise RuntimeMissingError(
                f"no runtime for .tflite models is installed; {_fix('litert')}"
            )
        return found[0]
    if wanted not in found:
        raise _unusable(wanted, "it is not installed")
    return wanted


def load_runtime(name: RuntimeName) -> ModuleType:
    """The module of a runtime, which has the class ``Interpreter``.

    Raises:
        RuntimeMissingError: it cannot be imported, or not be used beside this numpy.
    """
    if name == "tflite" and _major(np.__version__) >= 2 and _is_for_numpy_1():
        raise _unusable(name, f"it needs numpy 1, and numpy {np.__version__} is installed")
    try:
        return import_compiled(_MODULES[name])
    except ImportError as error:
        raise _unusable(name, str(error)) from error


def _is_for_numpy_1() -> bool:
    """Whether the tflite-runtime here is one of Google's; others compile newer ones for numpy 2.

    It would be found out late: numpy is imported only where the first interpreter is made.
    """
    from importlib import metadata

    try:
        major, minor, *_ = metadata.version(_PACKAGES["tflite"]).split(".")
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return (int(major), int(minor)) <= (2, 14)


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _unusable(name: RuntimeName, reason: str) -> RuntimeMissingError:
    return RuntimeMissingError(f"{_PACKAGES[name]} cannot be used: {reason}; {_fix(name)}")


def _fix(name: RuntimeName) -> str:
    """What to do for a runtime that is missing or broken."""
    if name == "litert" and platform.machine() not in _LITERT_MACHINES:
        return f"LiteRT needs a 64-bit system, and this one is {platform.machine()}"
    if name == "tflite" and sys.version_info[:2] != (3, 11):
        return "it is only available for Python 3.11; set model.runtime to 'auto'"
    return f"to install it: {how_to_install(_EXTRAS[name])}"


def thread_count(wanted: int) -> int:
    """Return the number of interpreter threads; 0 = one per core of this process, at most 4."""
    return wanted or min(MAX_AUTO_THREADS, len(os.sched_getaffinity(0)))


def read_model(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelNotFoundError: there is no such file.
        BadModelError: it cannot be read, or is not a .tflite file.
    """
    try:
        # Before it is opened: that waits for the other end of a pipe.
        status = path.stat()
        special = not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))
        if special or status.st_size > MAX_MODEL_BYTES:
            raise BadModelError(
                f"{path}: is not a file of at most {MAX_MODEL_BYTES >> 20} MB; use a .tflite file"
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{path}: no such model; check model.path") from error
    except OSError as error:
        raise BadModelError(f"{path}: cannot be read ({error.strerror})") from error
    check_identity(data, str(path))
    return data


def check_identity(data: bytes, name: str) -> None:
    """Check what can be checked of a .tflite file without reading it all.

    Source: the flatbuffers format: the offset of the root table, then the file identifier.

    Raises:
        BadModelError: it is not a .tflite file, or is cut off at its very beginning.
    """
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise BadModelError(f"{name}: {what_it_is(data)}")
    if int.from_bytes(data[:4], "little") + 4 > len(data):
        raise BadModelError(f"{name}: damaged or truncated; copy the model again")


def open_interpreter(
    model: bytes | Path,
    runtime: Literal["auto", "litert", "tflite"] = "auto",
    threads: int = 0,
    *,
    name: str = "model",
    trusted: bool = False,
) -> Interpreter:
    """An interpreter with its tensors allocated.

    XNNPACK, the fast kernels for Arm and x86, is on by default in both runtimes.

    Args:
        model: the .tflite file's bytes, or its path.
        runtime: `auto` prefers LiteRT.
        threads: interpreter threads; 0 = one per core, at most 4.
        name: of the model, for error messages.
        trusted: a SHA-256 vouches for the bytes.

    Raises:
        RuntimeMissingError: no runtime is installed, or it cannot be imported.
        ModelNotFoundError: there is no such file.
        BadModelError: the runtime cannot run the model.
    """
    if isinstance(model, Path):
        name, model = str(model), read_model(model)
    check_identity(model, name)
    chosen = choose_runtime(runtime)
    # Before the probe, which would call the model damaged where the runtime is.
    module = load_runtime(chosen)
    if not trusted:
        _probe(model, chosen, name)
    try:
        interpreter: Interpreter = module.Interpreter(
            model_content=model, num_threads=thread_count(threads)
        )
        interpreter.allocate_tensors()
    except (ImportError, SystemError) as error:  # compiled for another numpy
        raise _unusable(chosen, " ".join(str(error).split())[:160]) from error
    except (ValueError, RuntimeError) as error:
        raise BadModelError(_cannot_load(model, name, chosen, str(error))) from error
    return interpreter


def _probe(model: bytes, runtime: RuntimeName, name: str) -> None:
    """Run a model once in a process of its own, which may crash."""
    facts = read_facts(model)
    if facts is not None and facts.most_elements > MAX_ELEMENTS:
        raise BadModelError(
            f"{name}: has a tensor of {facts.most_elements:.2g} elements, too many for a device; "
            "export it for a smaller image, or copy it again if it is damaged"
        )
    command = [sys.executable, "-P", "-c", _PROBE, _MODULES[runtime]]
    try:
        done = subprocess.run(
            command, input=model, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        reason = f"it did not run within {PROBE_TIMEOUT_S:.0f} s"
        raise BadModelError(_cannot_load(model, name, runtime, reason)) from error
    if done.returncode < 0:
        raise BadModelError(_cannot_load(model, name, runtime, "it crashes the runtime"))
    if done.returncode > 0:
        text = done.stderr.decode(errors="replace").strip()
        reason = _last_error(text) if text else "unknown reason"
        if reason.startswith(("ImportError", "SystemError")):
            raise _unusable(runtime, reason[:160])
        raise BadModelError(_cannot_load(model, name, runtime, reason))


def _last_error(text: str) -> str:
    """The message of the exception that a traceback ends with, which may have several lines."""
    found = list(re.finditer(r"^[\w.]+: ", text, re.MULTILINE))
    return text[found[-1].start() :] if found else text.splitlines()[-1]


def _cannot_load(model: bytes, name: str, runtime: RuntimeName, reason: str) -> str:
    return f"{name}: {why_not(model, _PACKAGES[runtime], reason)}"
