"""Guest instructions of one ``invoke()`` on aarch64: a cost that no machine's load changes.

QEMU runs the aarch64 LiteRT in the Debian that ``tests/system/arm64/run.sh`` has extracted, and a
plugin counts. Instructions are not time (they say nothing of caches and of how many run at once),
but they are those of the Arm code, where this machine's times are those of another processor.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.progress import progress

log = logging.getLogger(__name__)

PLUGIN = Path(__file__).with_name("icount.c")
GUEST = Path(__file__).with_name("icount_guest.py")
_TIMEOUT_S = 600


def count_instructions(
    models: Mapping[str, Path], photo: Path, arm64: Path
) -> tuple[dict[str, int], str]:
    """Count for each model, as far as the means are here.

    Args:
        models: .tflite files by name.
        photo: .npy file, (h, w, 3) uint8.
        arm64: work folder of `tests/system/arm64/run.sh`, with `root/` and `site/`.

    Returns:
        Instructions by name, and why any are missing, or "".
    """
    if reason := missing(arm64):
        return {}, reason
    counts, failed = {}, []
    for name, model in progress(models.items(), "counting"):
        arguments = (str(GUEST), str(model.resolve()), str(photo.resolve()))
        try:
            counts[name] = round(statistics.median(counted(arm64, arguments)))
        except (subprocess.SubprocessError, ValueError) as error:
            log.warning("%s: instructions cannot be counted: %s", name, error)
            failed.append(name)
    return counts, f"not counted for {', '.join(failed)}: the run failed." if failed else ""


def missing(arm64: Path) -> str:
    """What is not here that counting needs, in a sentence, or ""."""
    for tool in ("qemu-aarch64", "cc"):
        if shutil.which(tool) is None:
            return f"not measured: {tool} absent."
    if not (arm64 / "root/usr/bin/python3").exists() or not (arm64 / "site").is_dir():
        return f"not measured: no aarch64 system in {arm64}; tests/system/arm64/run.sh makes one."
    return ""


def counted(
    arm64: Path, arguments: Sequence[str], processor: str = "cortex-a72", path: Sequence[Path] = ()
) -> list[int]:
    """Instructions between the marks that a Python program on the emulated aarch64 sets.

    What comes before the first mark is left out.

    Args:
        arm64: as above.
        arguments: of Python.
        processor: as QEMU calls it; the root's ``/proc/cpuinfo`` must be of the same kind.
        path: folders of Python modules that come before those in ``arm64``.

    Raises:
        ValueError: the program failed, or set fewer than two marks.
        subprocess.SubprocessError: the plugin does not compile, or the time is over.
    """
    arm64 = arm64.resolve()
    root, plugin = arm64 / "root", arm64 / "icount.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(PLUGIN)],
        capture_output=True, check=True,
    )  # fmt: skip
    command = [
        "qemu-aarch64", "-cpu", processor, "-L", str(root), "-plugin", str(plugin),
        str(root / "usr/bin/python3"), *arguments,
    ]  # fmt: skip
    modules = ":".join(map(str, (*path, arm64 / "site")))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        env={**os.environ, "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    lines = [line.split() for line in done.stderr.splitlines()]
    counts = [int(line[1]) for line in lines if line[:1] == ["instructions"]]
    if done.returncode or len(counts) < 2:
        raise ValueError(done.stderr.strip()[-300:] or f"exit code {done.returncode}")
    return counts[1:]
