"""The daemon at full speed for a long time: does it grow, and does it lose count?

    python tests/soak/soak.py --seconds 600 [--clip VIDEO]

Runs ``pi-detector run`` on a looped clip (one that is drawn here, if none is given), reads every
record, and samples memory, descriptors and threads of the process and its children once a second.
Fails unless memory and descriptors stay where they were after the first fifth, and every captured
frame is accounted for: captured = processed + dropped + in flight, one record a processed frame.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from draw import draw_clip
from processes import family

MOST_GROWTH_KB = 1024
STOP_S = 30.0


@dataclass(frozen=True)
class Sample:
    """Resources of the process and its children at one moment."""

    at_s: float
    rss_kb: int
    descriptors: int
    threads: int


@dataclass
class Records:
    """What came out on standard output."""

    detections: int = 0
    gaps: int = 0
    last: int = -1

    def read(self, stream: object) -> None:
        """Count until the stream ends."""
        for line in stream:  # type: ignore[attr-defined]
            record = json.loads(line)
            if record["type"] == "detections":
                self.detections += 1
                self.gaps += record["sequence"] != self.last + 1
                self.last = record["sequence"]


def sample(pid: int, started_s: float) -> Sample:
    """Resources now."""
    rss = descriptors = threads = 0
    for each in family(pid):
        status = Path(f"/proc/{each}/status").read_text()
        rss += int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
        threads += int(re.search(r"Threads:\s+(\d+)", status)[1])  # type: ignore[index]
        descriptors += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return Sample(time.monotonic() - started_s, rss, descriptors, threads)


def watch(process: subprocess.Popen[bytes], seconds: float) -> list[Sample]:
    """Sample once a second."""
    started_s = time.monotonic()
    samples = []
    while time.monotonic() - started_s < seconds:
        time.sleep(1)
        assert process.poll() is None, "the daemon ended by itself"
        samples.append(sample(process.pid, started_s))
        if len(samples) % 60 == 0:
            print(samples[-1], flush=True)
    return samples


def complaints(samples: list[Sample], records: Records, log: str) -> list[str]:
    """All that is not as it should be."""
    fifth = len(samples) // 5
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    growth_kb = statistics.median(s.rss_kb for s in late) - statistics.median(
        s.rss_kb for s in early
    )
    slope = statistics.linear_regression(
        [s.at_s / 3600 for s in samples[fifth:]], [s.rss_kb for s in samples[fifth:]]
    ).slope
    print(f"RSS {late[-1].rss_kb} KiB, growth {growth_kb:.0f} KiB, slope {slope:.0f} KiB an hour")
    found = []
    if growth_kb > MOST_GROWTH_KB:
        found.append(f"memory grew by {growth_kb:.0f} KiB")
    for kind in ("descriptors", "threads"):
        first, last = (max(getattr(s, kind) for s in part) for part in (early, late))
        print(f"{kind}: {first} at most early, {last} late")
        if last > first:
            found.append(f"{kind} grew from {first} to {last}")
    counts = re.search(r"(\d+) frames captured, (\d+) processed, (\d+) dropped, (\d+) in fl", log)
    if counts is None:
        return [*found, f"no summary: {log}"]
    captured, processed, dropped, in_flight = map(int, counts.groups())
    print(f"{counts[0]}ight; {records.detections} records, {records.gaps} gaps")
    if captured != processed + dropped + in_flight:
        found.append("frames are not accounted for")
    if records.detections != processed or records.gaps:
        found.append(f"{records.detections} records of {processed}, {records.gaps} gaps")
    return found


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clip", type=Path, help="video to loop (default: one that is drawn)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = args.clip or Path(folder, "clip.mp4")
        if args.clip is None:
            draw_clip(clip)
        with Path(folder, "log").open("w+") as log:
            command = [sys.executable, "-m", "pi_detector", "run", "--set", "source.loop=true"]
            process = subprocess.Popen(
                [*command, "--source", str(clip.resolve())], stdout=subprocess.PIPE, stderr=log
            )
            records = Records()
            reader = threading.Thread(target=records.read, args=[process.stdout])
            reader.start()
            try:
                samples = watch(process, args.seconds)
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_S)
            finally:
                process.kill()
                reader.join()
            log.seek(0)
            found = complaints(samples, records, log.read())
    for complaint in found:
        print(f"FAIL: {complaint}")
    print("failed" if found else "passed")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
