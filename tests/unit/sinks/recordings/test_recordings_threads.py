"""Several threads read recordings at once, as a page with several readers does."""

from __future__ import annotations

import os
import subprocess
import sys

from where import CHECKOUT, SUPPORT

READ = """
import sys, threading, msgspec
from recorded import Camera, everything
from pi_detector.sinks.recordings.layout import ENTRIES, Entry

sys.setswitchinterval(1e-6)
event = Camera(None).record("id", "end")
data = msgspec.json.encode(Entry(event=event, number=1, path="2026/11/24/id"))
start = threading.Barrier(8)

def read():
    start.wait()
    assert ENTRIES.decode(data).event == event

threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_the_first_threads_that_read_a_sidecar_do_not_crash() -> None:
    environ = {**os.environ, "PYTHONPATH": f"{SUPPORT}:{CHECKOUT}"}
    for _ in range(3):
        subprocess.run([sys.executable, "-c", READ], check=True, env=environ)
