"""Fuzz pi-detector for a bounded time.

    python tests/fuzz/fuzz.py [--seconds 60] [--most N] [--seed N] [--work DIR] [TARGET ...]

settings, overrides, manifest, labels and uri run under atheris (``guided.py``), pictures, videos
and models on damaged files (``media.py``); each in a process of its own, for so many seconds. The
corpus and the inputs that failed are kept under DIR. Exits with 1 where anything failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import media
import texts

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the targets one after the other."""
    everything = [*texts.TARGETS, *media.TARGETS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(everything))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--most", type=int, default=0, help="inputs for each target; 0: no limit")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9, help="the first one")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"))
    arguments = parser.parse_args()
    targets = arguments.targets or everything
    unknown = sorted(set(targets) - set(everything))
    if unknown:
        parser.error(f"no target {unknown[0]}; give some of {', '.join(everything)}")
    print(f"first seed {arguments.seed}", flush=True)
    failed = [target for target in targets if run(target, arguments)]
    print(f"failed: {', '.join(failed) or 'nothing'}")
    return int(bool(failed))


def run(target: str, arguments: argparse.Namespace) -> bool:
    """Run a target; whether it failed."""
    seconds, most, seed = arguments.seconds, arguments.most, arguments.seed
    if target in media.TARGETS:
        command = [HERE / "media.py", target, seconds, seed, most]
    else:
        corpus = arguments.work / target
        command = [
            HERE / "guided.py",
            target,
            corpus,
            f"-seed={seed % 2**31}",
            f"-runs={most or -1}",
        ]
        command += [f"-max_total_time={max(1, int(seconds))}", "-max_len=4096", "-timeout=20"]
        command += [f"-artifact_prefix={arguments.work / target}-", "-print_final_stats=1"]
    print(f"== {target}", flush=True)
    return subprocess.run([sys.executable, *map(str, command)], check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
