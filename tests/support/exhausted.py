"""A process whose descriptors or threads run out while it detects: ``exhausted.py WHAT FOLDER``.

Prints what it was told of the sinks meanwhile, and afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import threading
from pathlib import Path

from failing import Broker, Run, settings_in
from waiting import until

NO_STACK_FITS = 1 << 46
"""Bytes: the kernel refuses a thread with this much."""


def exhaust_descriptors(released: threading.Event) -> None:
    """Nothing more can be opened until ``released`` is set, also where a part closes something."""
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, most))

    def hold() -> None:
        while not released.wait(0.001):
            with contextlib.suppress(OSError):
                os.dup(0)

    with contextlib.suppress(OSError):
        while True:
            os.dup(0)
    threading.Thread(target=hold, name="hold", daemon=True).start()


def release_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))


def many_descriptors() -> None:
    """So many that the next ones are beyond what select(2) takes."""
    release_descriptors()
    for _ in range(1100):
        os.dup(0)


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    broker = Broker()
    run = Run(settings_in(folder, broker), broker)
    if what == "many descriptors":
        many_descriptors()
    run.start()
    for name in ("mqtt", "demo"):
        run.wait_for("source" if name == "demo" else "sink", name, "live", 0)
    run.goes_on()
    since = len(run.published)
    expected = {"descriptors": ("snapshots", "log", "textfile"), "threads": ("mqtt", "socket")}
    failing = expected.get(what, ())
    released = threading.Event()
    if what == "descriptors":
        exhaust_descriptors(released)
    elif what == "threads":
        threading.stack_size(NO_STACK_FITS)
        Path(run.settings.output.socket).unlink()  # made again, with a new thread
    if what != "descriptors":
        broker.hang_up()  # a new connection takes a thread and a descriptor
    for name in failing:
        run.wait_for("sink", name, "failed", since)
    run.goes_on()
    released.set()
    if what == "descriptors":
        release_descriptors()
    threading.stack_size(0)
    for name in failing or ("mqtt",):
        run.wait_for("sink", name, "live", since)
    run.goes_on()
    until(lambda: not run.down(), run.down)
    with socket.socket(socket.AF_UNIX) as reader:
        until(lambda: reader.connect_ex(run.settings.output.socket) == 0)
        assert reader.recv(1)
    names = {name: run.states("sink", name, since) for name in (*failing, "mqtt")}
    run.end()
    print(json.dumps(names))


if __name__ == "__main__":
    main()
