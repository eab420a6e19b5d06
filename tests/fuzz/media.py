"""What must hold for any picture, video or model: this process survives, and says what is wrong.

Each target first hands damaged files to the decoders in processes that may die, which is fast and
shows what the decoders do. Then it reads the files that killed one, and some that did not, as
pi-detector does: there, only its own errors may come out.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import seeds
from mutate import damaged
from victims import Outcome, run_in_victims

from pi_detector.config.settings import SourceSettings
from pi_detector.detector.bundle import load_bundle
from pi_detector.detector.runtime import available_runtimes, open_interpreter
from pi_detector.errors import BadImageError, BadModelError, PiDetectorError
from pi_detector.sources.base import Source
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.registry import make_source

CHECKOUT = Path(__file__).resolve().parents[2]
STREET = CHECKOUT / "models/street"
MEMORY = 2 * 1024 * 1024 * 1024
FRAMES = 40
WHOLE_SHARE = 0.7  # of the time for the decoders alone
SAMPLES = 10_000  # at most so many are read as pi-detector does


@dataclass
class Report:
    """What a target did.

    Attributes:
        runs: files that the decoders alone were given.
        isolated: files that were read as pi-detector does.
        deaths: seed to how the decoder died.
        failures: what must not have happened.
    """

    runs: int = 0
    isolated: int = 0
    deaths: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def fuzz_pictures(seconds: float, first: int, most: int | None) -> Report:
    """Damaged pictures."""
    whole = seeds.pictures()

    def read(paths: list[Path], isolation: str) -> None:
        source = ImagesSource(paths, SourceSettings(isolation=isolation))
        delivered = _read(source)
        assert delivered + source.skipped == len(paths), (delivered, source.skipped)

    return _fuzz_files(whole, read, 20, seconds, first, most)


def fuzz_videos(seconds: float, first: int, most: int | None) -> Report:
    """Damaged videos."""
    whole = seeds.videos()

    def read(paths: list[Path], isolation: str) -> None:
        (path,) = paths
        _read(make_source(SourceSettings(uri=f"file:{path}", isolation=isolation)))

    return _fuzz_files(whole, read, 1, seconds, first, most)


def _fuzz_files(
    whole: list[tuple[str, bytes]],
    read: Callable[[list[Path], str], None],
    at_once: int,
    seconds: float,
    first: int,
    most: int | None,
) -> Report:
    with tempfile.TemporaryDirectory(prefix="pi-detector-fuzz-") as folder:

        def decode(seed: int) -> None:
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            path = _write(Path(folder), whole, seed)
            read([path], "off")
            path.unlink()

        outcome = run_in_victims(decode, seconds * WHOLE_SHARE, first, most)
    report = Report(outcome.runs, deaths=outcome.deaths)
    chosen = _chosen(outcome, first, seconds * (1 - WHOLE_SHARE))
    while some := list(itertools.islice(chosen, at_once)):
        report.isolated += len(some)
        try:
            with tempfile.TemporaryDirectory(prefix="pi-detector-fuzz-") as folder:
                read([_write(Path(folder), whole, seed) for seed in some], "on")
        except Exception as error:  # noqa: BLE001 - that is the finding
            report.failures.append(f"seeds {some[0]} ff.: {type(error).__name__}: {error}")
    return report


def _write(folder: Path, whole: list[tuple[str, bytes]], seed: int) -> Path:
    """A damaged file."""
    name, data = whole[seed % len(whole)]
    path = folder / f"{seed}-{name}"
    path.write_bytes(damaged(data, seed))
    return path


def _read(source: Source) -> int:
    """How many frames came; that the file is damaged is no failure."""
    delivered = 0
    try:
        source.open((300, 300))
        for frame in itertools.islice(iter(source.read, None), FRAMES):
            assert frame.image.dtype == np.uint8
            assert frame.image.shape == (frame.height, frame.width, 3)
            delivered += 1
    except BadImageError:
        pass
    finally:
        source.close()
    return delivered


def fuzz_models(seconds: float, first: int, most: int | None) -> Report:
    """Damaged models: a bundle never gets as far as the interpreter, a bare one is tried out."""
    data = (STREET / "model.tflite").read_bytes()
    structure = _structure(data)

    def model(seed: int) -> bytes:
        chance = random.Random(seed)
        out = bytearray(data)
        for _ in range(2 ** chance.randrange(3)):
            at = chance.randrange(*structure)
            out[at] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        return bytes(out) if seed % 4 else damaged(data, seed)

    def run(seed: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            interpreter = Interpreter(model_content=model(seed), num_threads=1)
            interpreter.allocate_tensors()
            interpreter.invoke()
        except (ValueError, RuntimeError):
            return

    report = Report()
    if "litert" in available_runtimes():
        outcome = run_in_victims(run, seconds * WHOLE_SHARE, first, most)
        report = Report(outcome.runs, deaths=outcome.deaths)
        for seed in _chosen(outcome, first, seconds * (1 - WHOLE_SHARE)):
            report.isolated += 1
            try:
                open_interpreter(model(seed), "litert", 1)
            except BadModelError:
                continue
            except Exception as error:  # noqa: BLE001 - that is the finding
                report.failures.append(f"seed {seed}: {type(error).__name__}: {error}")
                continue
            if seed in outcome.deaths:
                report.failures.append(f"seed {seed}: killed the interpreter, and was let through")
    report.failures += _bundles_let_through(model, range(first, first + 50))
    return report


def _bundles_let_through(model: Callable[[int], bytes], tried: range) -> list[str]:
    """Bundles whose model is not the one that the manifest names."""
    right = hashlib.sha256((STREET / "model.tflite").read_bytes()).digest()
    failures = []
    with tempfile.TemporaryDirectory(prefix="pi-detector-fuzz-") as name:
        folder = Path(name)
        for file in ("manifest.toml", "labels.txt"):
            (folder / file).write_bytes((STREET / file).read_bytes())
        for seed in tried:
            content = model(seed)
            if hashlib.sha256(content).digest() == right:
                continue
            (folder / "model.tflite").write_bytes(content)
            try:
                load_bundle(folder)
                failures.append(f"seed {seed}: a bundle with a wrong SHA-256 was loaded")
            except PiDetectorError:
                continue
    return failures


def _structure(data: bytes) -> tuple[int, int]:
    """Where the tables of a .tflite lie, after the weights: from the name of the first tensor."""
    return data.index(b"serving_default") // 2, len(data)


def _chosen(outcome: Outcome, first: int, seconds: float) -> Iterator[int]:
    """The seeds that killed a decoder, then others, until the time is over."""
    deadline = time.monotonic() + seconds
    yield from outcome.deaths
    for seed in range(first, first + min(outcome.runs, SAMPLES)):
        if time.monotonic() > deadline:
            return
        if seed not in outcome.deaths:
            yield seed


TARGETS: dict[str, Callable[[float, int, int | None], Report]] = {
    "pictures": fuzz_pictures,
    "videos": fuzz_videos,
    "models": fuzz_models,
}


def main(target: str, seconds: float, first: int, most: int | None) -> int:
    """Run a target and print what happened; 1 where something must not have."""
    report = TARGETS[target](seconds, first, most)
    for seed, how in report.deaths.items():
        print(f"{target}: seed {seed}: the decoder died: {how}")
    for failure in report.failures:
        print(f"{target}: FAILED: {failure}")
    exceptions = sum(how == "exception" for how in report.deaths.values())
    print(
        f"{target}: {report.runs} files decoded, {len(report.deaths)} deaths of the decoder; "
        f"{report.isolated} files read by pi-detector, {len(report.failures)} failures"
    )
    return int(bool(report.failures or exceptions or not report.runs))


if __name__ == "__main__":
    name, seconds_text, first_text, most_text = sys.argv[1:]
    sys.exit(main(name, float(seconds_text), int(first_text), int(most_text) or None))
