"""What a network camera costs: processor time of all processes per minute of its stream.

    python benchmarks/streams.py BUSY.mkv STILL.mkv [--seconds 40] [--rounds 2] [--before CHECKOUT]

The files are H.264 in Matroska, of a camera's size, rate and keyframe interval, and longer than
``--seconds`` and the warm-up (12 s, of the still one 40 s) together. GStreamer's RTSP server sends
them in real time (Debian: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad). In turns:

- copy: ``ffmpeg -c copy`` to nowhere, which only receives.
- decode: ``ffmpeg`` that decodes all frames to nowhere.
- clips: detection at 5 frames per second, clips copied.
- encoded: the same, clips encoded.
- still: the still stream with the motion gate and ``source.idle = "keyframes"``.
- moving: the busy stream with the same settings.
- before: another checkout of pi-detector, with clips, if ``--before`` names one.

Start and warm-up are not counted. Figures are medians of the rounds, and ratios: seconds depend on
the computer and what else it does.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

SERVER = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
for name, path in zip(("busy", "still"), sys.argv[2:]):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( filesrc location="{path}" ! matroskademux ! h264parse'
        " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    server.get_mount_points().add_factory("/" + name, factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
WARM_UP_S = 12.0
# The gate stays open for objects that are followed, until 20 s after the last motion.
SETTLE_S = 40.0
_TICKS = os.sysconf("SC_CLK_TCK")
DETECTION = {"detection.max_fps": 5, "output.stdout": "none", "recording.enabled": "true"}
DETECTION |= {"recording.min_free_mb": 10, "log.level": "warning"}
GATE = {"motion.enabled": "true", "source.idle": "keyframes"}


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its descendants so far."""
    ticks = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def per_minute(
    command: list[str], seconds: float, warm_up_s: float, checkout: Path | None
) -> float:
    """Processor seconds per minute of a command, once it is warm.

    Args:
        command: to run.
        seconds: for which it is measured.
        warm_up_s: for which it is not.
        checkout: whose pi-detector it runs; None for that of this Python.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | ({"PYTHONPATH": str(checkout)} if checkout else {}),
        cwd=checkout,
    )
    try:
        time.sleep(warm_up_s)
        before, started = cpu_s(process.pid), time.monotonic()
        time.sleep(seconds)
        used, took = cpu_s(process.pid) - before, time.monotonic() - started
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return used / took * 60


def detector(uri: str, folder: Path, settings: dict[str, object]) -> list[str]:
    """The command that detects on a stream and records its events."""
    settings = {**DETECTION, "recording.path": str(folder), **settings}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "pi_detector", "run", "--source", uri, *options]


def commands(port: int, folder: Path) -> dict[str, list[str]]:
    """What is measured, by its name."""
    busy, still = (f"rtsp://127.0.0.1:{port}/{name}" for name in ("busy", "still"))
    ffmpeg = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", busy, "-an"]
    return {
        "copy": [*ffmpeg, "-c", "copy", "-f", "null", "-"],
        "decode": [*ffmpeg[:3], "-threads", "1", *ffmpeg[3:], "-f", "null", "-"],
        "clips": detector(busy, folder / "clips", {}),
        "encoded": detector(busy, folder / "encoded", {"recording.copy": "off"}),
        "still": detector(still, folder / "still", GATE),
        "moving": detector(busy, folder / "moving", GATE),
    }


def measure(args: argparse.Namespace, port: int, folder: Path) -> dict[str, float]:
    """Medians, by name."""
    figures: dict[str, list[float]] = defaultdict(list)
    wanted = commands(port, folder)
    if args.before is not None:
        # Without settings that an old version does not know.
        wanted["before"] = detector(f"rtsp://127.0.0.1:{port}/busy", folder / "before", {})
        index = wanted["before"].index("detection.max_fps=5")
        del wanted["before"][index - 1 : index + 1]
    for _ in range(args.rounds):
        for name, command in wanted.items():
            checkout = args.before.resolve() if name == "before" else None
            warm_up_s = SETTLE_S if name == "still" else WARM_UP_S
            used = per_minute(command, args.seconds, warm_up_s, checkout)
            figures[name].append(used)
            print(f"{name:8} {used:6.2f} s/min", flush=True)
    return {name: statistics.median(each) for name, each in figures.items()}


def report(figures: dict[str, float]) -> None:
    """Print the medians and what they mean."""
    print("\nmedians, processor seconds per minute of stream")
    for name, used in figures.items():
        print(f"{name:8} {used:6.2f}")
    print("\nratios")
    ffmpeg = figures["copy"] + figures["decode"]
    print(f"clips / (copy + decode)  {figures['clips'] / ffmpeg:.2f}")
    print(f"clips / encoded          {figures['clips'] / figures['encoded']:.2f}")
    print(f"still / moving           {figures['still'] / figures['moving']:.2f}")
    if "before" in figures:
        print(f"clips / before           {figures['clips'] / figures['before']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("busy", type=Path)
    parser.add_argument("still", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--before", type=Path, help="checkout of another version")
    args = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    videos = [str(args.busy.resolve()), str(args.still.resolve())]
    server = subprocess.Popen(
        ["/usr/bin/python3", "-c", SERVER, str(port), *videos], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        with tempfile.TemporaryDirectory() as folder:
            report(measure(args, port, Path(folder)))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
