"""Arm instructions a frame: ours, the loop of the tutorials, and ``invoke()`` alone.

    tests/system/arm64/run.sh                          # makes build/arm64-bookworm, once
    python -m benchmarks.instructions CLIP [--reference MODEL --reference-labels FILE]

QEMU runs this checkout with the aarch64 LiteRT, NumPy and OpenCV, as a Cortex-A72 (Raspberry Pi 4)
and as a Cortex-A76 (Raspberry Pi 5), and a plugin counts: the same count whatever else this machine
does. Instructions are not time: they say nothing of caches, and of how many run at once. Frames
come from memory, 640x480; one thread. Prints a table in Markdown, in millions.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from deploy.report.instructions import counted, missing
from pi_detector.config.settings import ModelSettings
from pi_detector.detector.bundle import load_model
from tests.system.arm64.cpuinfo import PROCESSORS, cpuinfo

CHECKOUT = Path(__file__).resolve().parent.parent
SIZE = (640, 480)
WHAT = {
    "invoke": "`invoke()` alone",
    "detect": "pi-detector: scaling, invoke, decoding",
    "pipeline": "pi-detector: the same, tracking and JSON",
    "small": "pi-detector, `street-small`: all of that",
    "classic": "classic loop, the same model",
    "reference": "classic loop, COCO SSD MobileNetV1",
}


def write_frames(clip: str, count: int, path: Path) -> None:
    """Save some frames from all over a clip, (count, 480, 640, 3) BGR."""
    video = cv2.VideoCapture(clip, cv2.CAP_FFMPEG)
    frames = []
    while (read := video.read())[0]:
        frames.append(cv2.resize(read[1], SIZE, interpolation=cv2.INTER_AREA))
    np.save(path, np.stack(frames[:: max(1, len(frames) // count)][:count]))


def root_of(processor: str, arm64: Path) -> Path:
    """A work folder like ``arm64``, whose Debian has the ``/proc/cpuinfo`` of a processor.

    Its files are hard links, made again each time, and its folders are real: a program sees the
    Debian's ``/tmp`` in the place of this machine's, and where that is a symbolic link it cannot
    resolve the path of a checkout in ``/tmp``.
    """
    work = arm64 / processor
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(arm64 / "root", work / "root", symlinks=True, copy_function=os.link)
    info = work / "root/proc/cpuinfo"
    info.parent.mkdir(exist_ok=True)
    info.unlink(missing_ok=True)  # a hard link: writing to it would change the original
    info.write_text(cpuinfo(processor, 4) + "\n")
    (work / "site").symlink_to("../site")  # relative, for a checkout that moves
    return work


def measure(
    clip: str, arm64: Path, reference: Sequence[Path] = (), frames: int = 3
) -> dict[str, dict[str, int]]:
    """Median instructions a frame, by processor and by the keys of ``WHAT``.

    Args:
        clip: video file.
        arm64: work folder of ``tests/system/arm64/run.sh``.
        reference: a model that ends in TFLite_Detection_PostProcess, and its labels.
        frames: of the clip.

    Raises:
        ValueError: a run failed.
    """
    bundle, small = (
        load_model(ModelSettings(path=name)).path for name in ("street", "street-small")
    )
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "frames.npy")
        write_frames(clip, frames, images)
        for processor in PROCESSORS:
            work = root_of(processor, arm64)
            found[processor] = {}
            for what in WHAT:
                if what == "reference" and not reference:
                    continue
                rest = [path.resolve() for path in reference] if what == "reference" else []
                program = ["pipeline", images, small] if what == "small" else [what, images, bundle]
                arguments = ["-m", "benchmarks.instructions_guest", *program, *rest]
                print(f"{processor}: {what}", file=sys.stderr)
                counts = counted(work, [str(a) for a in arguments], processor, [CHECKOUT])
                found[processor][what] = round(statistics.median(counts))
    return found


def table(found: dict[str, dict[str, int]]) -> str:
    """The counts in Markdown, in millions."""
    lines = ["| a frame, millions of instructions | " + " | ".join(found) + " |"]
    lines.append("|" + "---|" * (len(found) + 1))
    for what, words in WHAT.items():
        cells = [
            f"{counts[what] / 1e6:.1f}" if what in counts else "not measured"
            for counts in found.values()
        ]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--arm64", type=Path, default=Path("build/arm64-bookworm"))
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--reference-labels", type=Path)
    parser.add_argument("--frames", type=int, default=3)
    args = parser.parse_args()
    if reason := missing(args.arm64):
        raise SystemExit(reason)
    reference = (args.reference, args.reference_labels) if args.reference else ()
    print(table(measure(args.clip, args.arm64, reference, args.frames)))


if __name__ == "__main__":
    main()
