"""Which log files a report reads, and what it does with damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from backports import zstd
from field_records import performance, write_log
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.core.records import encode, status_record
from pi_detector.errors import LogNotFoundError
from pi_detector.report.logs import Damage, device_names, find_logs, lines_of
from pi_detector.report.scan import Job, LogFile, scan, write_empty_tables


def test_files_of_a_device_are_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    for name in ("records-10.jsonl", "records-9.jsonl.gz", "records-000002.jsonl.zst"):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".records-000001.jsonl").touch()
    found = [log.path.name for log in find_logs([str(tmp_path)])]
    assert found == ["records-000002.jsonl.zst", "records-9.jsonl.gz", "records-10.jsonl"]


def test_a_file_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    plain = tmp_path / "records-000001.jsonl"
    for path in (plain, plain.with_name(plain.name + ".zst")):
        path.touch()
    found = find_logs([str(tmp_path), str(plain), f"{tmp_path}/*.jsonl"])
    assert [log.path.name for log in found] == ["records-000001.jsonl.zst"]


def test_patterns_name_files_and_folders(tmp_path: Path) -> None:
    for name in ("a/1.jsonl", "b/1.jsonl", "c/1.jsonl"):
        write_log(tmp_path / name, [])
    assert [log.device for log in find_logs([f"{tmp_path}/[ab]"])] == ["a", "b"]
    assert [log.device for log in find_logs([f"{tmp_path}/**/1.jsonl"])] == ["a", "b", "c"]


def test_an_argument_without_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="no log files"):
        find_logs([str(tmp_path)])


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/logs/porch"], ["porch"]),
        (["/logs/porch", "/logs/yard"], ["porch", "yard"]),
        (["/logs/porch/log", "/logs/yard/log"], ["porch", "yard"]),
        (["/a/log", "/b/log/old"], ["a/log", "b/log/old"]),
        (["/logs", "/logs/yard"], ["logs/", "yard"]),
    ],
)
def test_names_tell_devices_apart(folders: list[str], names: list[str]) -> None:
    assert list(device_names([Path(folder) for folder in folders]).values()) == names


def scanned(path: Path, folder: Path):
    folder.mkdir()
    write_empty_tables(folder)
    return scan(Job(LogFile(path, "a"), 0, 0, (), 60, folder))


def test_damaged_lines_are_counted_and_the_others_read(tmp_path: Path) -> None:
    good = encode(performance(60))
    lines = [
        good,
        good[: len(good) // 2] + b"\n",
        b"\0" * 4096 + b"\n",
        b"\xff\xfe\n",
        b"\n",
        b'{"type":"weather","sky":"blue"}\n',
        good.replace(b'"version":1', b'"version":2'),
        b'{"type":"performance","version":1}\n',
        b"x" * 5_000_000 + b"\n",
        encode(status_record("source", "demo", "live")),
        good[:100],
    ]
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(lines))
    found = scanned(path, tmp_path / "out")
    assert dict(found.records) == {
        "performance": 1,
        "status": 1,
        "weather, version 0": 1,
        "performance, version 2": 1,
    }
    assert found.damage == Damage(lines=5, half_lines=1)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
def test_a_compressed_file_that_is_cut_off_gives_what_is_there(
    tmp_path: Path, suffix: str, pack
) -> None:
    lines = b"".join(encode(performance(60 * n, invoke_ms=[n])) for n in range(1, 2000))
    packed = pack(lines)
    path = tmp_path / f"records.jsonl{suffix}"
    path.write_bytes(packed)
    damage = Damage()
    assert sum(1 for _ in lines_of(path, damage)) == 1999
    assert damage == Damage()

    path.write_bytes(packed[: len(packed) * 3 // 4])
    found = scanned(path, tmp_path / "out")
    assert 0 < found.records["performance"] < 1999
    assert found.damage.fault is not None


@given(st.binary(max_size=300), st.sampled_from([".jsonl", ".jsonl.gz", ".jsonl.zst"]))
@settings(max_examples=25, deadline=None)
def test_no_content_is_an_exception(tmp_path_factory, content: bytes, suffix: str) -> None:
    folder = tmp_path_factory.mktemp("wild")
    path = folder / f"records{suffix}"
    path.write_bytes(content)
    found = scanned(path, folder / "out")
    assert not found.records["performance"]
