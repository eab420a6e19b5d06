"""The service with cameras and with limits that are enforced. Runs as root in run.sh's guest."""

from __future__ import annotations

import grp
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from checks import make, wait_until
from unit import UNIT, Service, drop_in, install, memory_of, run, set_up, show
from usb import NODE, Webcam

CHECKOUT = Path(os.environ["CHECKOUT"])
SHIMS = CHECKOUT / "tests/system/picamera2/shims"
FIRMWARE_NODE = Path("/usr/local/lib/firmware_node.so")
HEAP = Path("/dev/dma_heap/system")
OUTAGE_S = 5.0

webcam = Webcam()


def webcam_of_the_unit() -> str:
    """Under the unit's sandbox the webcam is found by its lasting name, and a person before it."""
    set_up(f"v4l2:{by_id()}")
    with Service() as service:
        found_s = service.finds_a_person()
        status = show("StatusText")
        assert show("ActiveState") == "active"
        user = run("stat", "--format", "%U", f"/proc/{show('MainPID')}")
        assert user == "pi-detector", user
        rss_mib = memory_of(show("MainPID")) / 2**20
        limit_mib = int(show("MemoryMax")) / 2**20
    assert "live" in status, status
    return f"after {found_s:.0f} s; RSS {rss_mib:.0f} of {limit_mib:.0f} MiB; {status}"


def replugged_under_the_unit() -> str:
    """Pulled out and plugged in again: the same process goes on."""
    with Service() as service:
        service.finds_a_person()
        process = show("MainPID")
        webcam.unplug()
        try:
            service.source_is("reopening")
            time.sleep(OUTAGE_S)
        finally:
            webcam.plug()
        live_s = service.source_is("live")
        found_s = live_s + service.finds_a_person()
        assert show("MainPID") == process, service.journal()
        assert service.restarts() == 0, service.journal()
    return f"live after {live_s:.1f} s, a person after {found_s:.1f} s"


def plugged_in_with_another_number() -> str:
    """Somebody still holds its node when it comes back, and so it gets another: by-id finds it."""
    with Service() as service:
        service.finds_a_person()
        holder = os.open(NODE, os.O_RDWR)
        try:
            webcam.unplug()
            webcam.plug()
            assert not NODE.exists(), "the kernel gave it the same node"
            live_s = service.source_is("live")
            node = by_id().resolve()
        finally:
            os.close(holder)
            webcam.unplug()
            webcam.plug()
    return f"{NODE} is now {node}; live after {live_s:.1f} s"


def memory_limit_kills_and_it_detects_again() -> str:
    """At its memory limit the kernel kills it; systemd starts it again, and it detects."""
    with Service() as service:
        service.finds_a_person()
        process = show("MainPID")
        limit_memory("48M")
        killed = time.monotonic()
        wait_until(lambda: service.restarts() > 0, "a restart", 120, pause_s=0.5)
        limit_memory("infinity")
        found_s = service.finds_a_person()
        assert show("MainPID") != process
        journal = run("journalctl", "--unit", UNIT, "--output", "cat", "--lines", "100")
        assert "killed by the OOM killer" in journal, journal
        whole_s = time.monotonic() - killed
    return f"a person {found_s:.0f} s after the limit was lifted, {whole_s:.0f} s after it was set"


def stepped_clock_under_the_unit() -> str:
    """The wall clock is set an hour ahead, then two back: nobody restarts, nothing stalls."""
    with Service() as service:
        service.finds_a_person()
        before = len(service.records())
        waits = []
        for hours in (1, -2, 1):
            run("date", "--set", f"{hours:+d} hours")
            waits.append(service.finds_a_person())
        told = [record for record in service.records()[before:] if record["type"] == "status"]
        assert not told, told
        assert service.restarts() == 0, service.journal()
    return "a person after " + ", ".join(f"{wait_s:.0f}" for wait_s in waits) + " s"


def instance_of_a_webcam() -> str:
    """With settings named by its serial, plugging a webcam in starts its instance."""
    serial = run(
        "udevadm", "info", "--query=property", "--property=ID_SERIAL", "--value", str(NODE)
    )
    unit = f"pi-detector@{serial}.service"
    lasting = by_id()
    webcam.unplug()
    set_up(f"v4l2:{lasting}", serial)
    plugged = time.monotonic()
    webcam.plug()
    instance = Service(unit, Path(f"/var/log/pi-detector/{serial}"))
    try:
        wait_until(lambda: show("ActiveState", unit) == "active", f"{unit}", 300, pause_s=0.5)
        active_s = time.monotonic() - plugged
        instance.finds_a_person()
    finally:
        run("systemctl", "stop", unit)
        Path(f"/etc/pi-detector/{serial}.toml").unlink()
    return f"{unit} active after {active_s:.0f} s"


def picamera2_of_the_unit() -> str:
    """picamera2 and libcamera work under the unit's sandbox, and after an unplug again."""
    source = SHIMS / "firmware_node.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", FIRMWARE_NODE, source], check=True)
    # As Raspberry Pi OS's udev rules and kernel have them.
    os.chown(HEAP, 0, grp.getgrnam("video").gr_gid)
    HEAP.chmod(0o660)
    HEAP.with_name("linux,cma").symlink_to(HEAP)
    environment = f"Environment=LD_PRELOAD={FIRMWARE_NODE} PYTHONPATH={SHIMS}\n"
    drop_in(UNIT, "shims", environment)
    set_up("picamera:0")
    with Service() as service:
        found_s = service.finds_a_person()
        webcam.unplug()
        time.sleep(OUTAGE_S)
        webcam.plug()
        again_s = service.finds_a_person()
        restarts = service.restarts()
    return f"a person after {found_s:.0f} s; replugged after {again_s:.0f} s, {restarts} restarts"


def by_id() -> Path:
    """The webcam's lasting name."""
    run("udevadm", "settle")
    (found,) = Path("/dev/v4l/by-id").glob("*-video-index0")
    return found


def limit_memory(most: str) -> None:
    """Set the service's memory limit while it runs."""
    limits = (f"MemoryMax={most}", "MemoryHigh=infinity", "MemorySwapMax=0")
    run("systemctl", "set-property", "--runtime", UNIT, *limits)


CHECKS: tuple[Callable[[], str | None], ...] = (
    webcam_of_the_unit,
    replugged_under_the_unit,
    plugged_in_with_another_number,
    memory_limit_kills_and_it_detects_again,
    stepped_clock_under_the_unit,
    instance_of_a_webcam,
    picamera2_of_the_unit,
)


if __name__ == "__main__":
    install(CHECKOUT)
    webcam.plug()
    make(CHECKS)
