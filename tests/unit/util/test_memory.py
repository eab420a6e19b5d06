"""How large an image may be, on machines made of files."""

from pathlib import Path

import pytest

from pi_detector.errors import BadImageError
from pi_detector.util import memory
from pi_detector.util.memory import available_memory, check_size, largest_image

MIB = 1024 * 1024


def machine(root: Path, available_mib: int, cgroup: str = "0::/system.slice/x.service") -> Path:
    put(root, "proc/meminfo", f"MemTotal: 999999 kB\nMemAvailable: {available_mib * 1024} kB\n")
    put(root, "proc/self/cgroup", cgroup + "\n")
    return root


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def group(root: Path, name: str, limit: str, used_mib: int, files_mib: int = 0) -> None:
    put(root, f"sys/fs/cgroup/{name}/memory.max", limit + "\n")
    put(root, f"sys/fs/cgroup/{name}/memory.current", f"{used_mib * MIB}\n")
    put(root, f"sys/fs/cgroup/{name}/memory.stat", f"anon 1\ninactive_file {files_mib * MIB}\n")


def test_what_the_machine_has(tmp_path: Path) -> None:
    assert available_memory(machine(tmp_path, 300)) == 300 * MIB
    assert largest_image(tmp_path) == 300 * MIB // 24


def test_what_a_service_may_take(tmp_path: Path) -> None:
    machine(tmp_path, 3000)
    group(tmp_path, "system.slice/x.service", str(400 * MIB), 150, files_mib=50)
    assert available_memory(tmp_path) == 300 * MIB
    put(tmp_path, "sys/fs/cgroup/system.slice/x.service/memory.high", f"{350 * MIB}\n")
    assert available_memory(tmp_path) == 250 * MIB


def test_the_limit_of_a_group_above_counts(tmp_path: Path) -> None:
    machine(tmp_path, 3000)
    group(tmp_path, "system.slice/x.service", "max", 100)
    group(tmp_path, "system.slice", str(500 * MIB), 300)
    assert available_memory(tmp_path) == 200 * MIB


def test_control_groups_of_the_first_version(tmp_path: Path) -> None:
    machine(tmp_path, 3000, "9:memory:/box\n0::/")
    put(tmp_path, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", f"{256 * MIB}\n")
    put(tmp_path, "sys/fs/cgroup/memory/box/memory.usage_in_bytes", f"{100 * MIB}\n")
    assert available_memory(tmp_path) == 156 * MIB


def test_neither_too_little_nor_too_much(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    assert largest_image(tmp_path) == 4 * MIB
    assert largest_image(machine(tmp_path, 10)) == 4 * MIB
    assert largest_image(machine(tmp_path, 100_000)) == 8192 * 8192


def test_of_the_machine_that_this_runs_on() -> None:
    available = available_memory()
    assert available is not None
    assert available > 16 * MIB


def test_the_size_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "largest_image", lambda: 12_000_000)
    check_size(4000, 3000)
    with pytest.raises(BadImageError, match="4001x3000 pixels exceed the 12 megapixels"):
        check_size(4001, 3000)
