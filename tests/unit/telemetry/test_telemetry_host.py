"""Sensors, on file systems made for them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import pytest

from pi_detector.core.readings import HostReadings, ThrottlingFlags
from pi_detector.telemetry import sensors
from pi_detector.telemetry.host import names_of, read_host, read_throttling
from pi_detector.telemetry.process import CpuTimes, cpu_times, read_process

WIRELESS = """\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   58.  {level}  -256        0      0      0      0    274        0
"""


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def a_pi(root: Path) -> None:
    put(root, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(root, "sys/class/thermal/thermal_zone0/temp", "61340\n")
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    put(root, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    put(root, "proc/loadavg", "1.25 0.80 0.60 2/190 4242\n")
    put(root, "proc/uptime", "86400.42 300000.00\n")
    put(root, "proc/meminfo", "MemTotal:  948304 kB\nMemAvailable:   500000 kB\n")
    put(root, "proc/net/wireless", WIRELESS.format(level="-52."))


def test_a_pi_is_read(tmp_path: Path) -> None:
    a_pi(tmp_path)
    host = read_host(tmp_path, tmp_path)
    assert host == HostReadings(
        temperature_celsius=61.34,
        cpu_mhz=1500.0,
        cpu_governor="ondemand",
        throttling=ThrottlingFlags(True, False, True, False),
        throttling_ever=ThrottlingFlags(True, False, True, False),
        load_1m=1.25,
        memory_available_mb=512.0,
        disk_free_mb=host.disk_free_mb,
        wifi_dbm=-52,
        uptime_s=86400.42,
    )
    assert host.disk_free_mb is not None


def test_what_is_absent_is_null_and_never_zero(tmp_path: Path) -> None:
    host = msgspec.to_builtins(read_host(tmp_path, tmp_path))
    assert host.pop("disk_free_mb") > 0
    assert set(host.pop("throttling").values()) == {None}
    assert set(host.pop("throttling_ever").values()) == {None}
    assert set(host.values()) == {None}


@pytest.mark.parametrize("damage", ["", "nonsense", "\0\0", "-"])
def test_damaged_sensors_are_absent(tmp_path: Path, damage: str) -> None:
    a_pi(tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "scaling_governor":
            file.write_text(damage)
    host = msgspec.to_builtins(read_host(tmp_path, tmp_path / "gone"))
    for name in ("disk_free_mb", "cpu_governor", "throttling", "throttling_ever"):
        del host[name]
    assert set(host.values()) == {None}


def test_the_firmware_of_a_pi_5_has_an_address_in_its_path(tmp_path: Path) -> None:
    folder = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware"
    put(tmp_path, f"{folder}/get_throttled", "8\n")
    now, _ = read_throttling(tmp_path)
    assert names_of(now) == ["soft temperature limit"]


def test_under_voltage_of_a_kernel_without_the_firmware_file(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    now, ever = read_throttling(tmp_path)
    assert now == ever == ThrottlingFlags(under_voltage=True)
    assert now.throttled is None


@pytest.mark.parametrize("level", ["58.", "0."])
def test_a_signal_in_another_unit_is_absent(tmp_path: Path, level: str) -> None:
    put(tmp_path, "proc/net/wireless", WIRELESS.format(level=level))
    assert sensors.wifi_dbm(tmp_path) is None


def test_threads_are_told_apart_by_name() -> None:
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            sum(range(1000))

    before, began_s = cpu_times(), time.monotonic()
    thread = threading.Thread(target=burn, name="burner")
    thread.start()
    try:
        while cpu_times().threads_s.get(thread.native_id or 0, 0.0) < 0.2:
            time.sleep(0.02)
        seconds = time.monotonic() - began_s
        used = read_process(before, cpu_times(), seconds)
    finally:
        stop.set()
        thread.join()
    assert used.threads_cpu_percent["burner"] >= 19 / seconds
    assert used.cpu_percent is not None
    assert used.cpu_percent >= used.threads_cpu_percent["burner"] - 1
    assert used.rss_mb is not None
    assert used.rss_mb > 5


def test_a_process_that_cannot_be_read_is_absent(tmp_path: Path) -> None:
    used = read_process(cpu_times(tmp_path), cpu_times(tmp_path), 1.0, tmp_path)
    assert used == msgspec.structs.replace(
        used, cpu_percent=None, threads_cpu_percent={}, rss_mb=None, children_rss_mb=None
    )
    assert used.uptime_s is None


def test_uptime_is_since_the_process_started(tmp_path: Path) -> None:
    stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 90 0 0 0 150 50 0 0 20 0 9 0 {} 0 0\n"
    put(tmp_path, "proc/self/stat", stat.format(40 * os.sysconf("SC_CLK_TCK")))
    put(tmp_path, "proc/uptime", "100.25 333.1\n")
    assert read_process(CpuTimes(), CpuTimes(), 1.0, tmp_path).uptime_s == pytest.approx(
        60.2, abs=0.1
    )
    assert (read_process(CpuTimes(), CpuTimes(), 1.0).uptime_s or 0) > 0


def test_memory_of_children_is_added(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/statm", "9000 1000 300 1 0 100 0\n")
    put(tmp_path, "proc/self/task/10/children", "20 21 \n")
    put(tmp_path, "proc/self/task/11/children", "\n")
    put(tmp_path, "proc/20/statm", "9000 2000 300 1 0 100 0\n")
    used = read_process(CpuTimes(), CpuTimes(), 1.0, tmp_path)
    assert used.children_rss_mb == pytest.approx(2000 * 4096 / 1e6, abs=0.1)


def test_a_thread_name_may_hold_anything(tmp_path: Path) -> None:
    stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 90 0 0 0 150 50 0 0 20 0 9 0 100 0 0\n"
    put(tmp_path, "proc/self/task/7/stat", stat)
    assert cpu_times(tmp_path).threads_s == {7: 200 / os.sysconf("SC_CLK_TCK")}
