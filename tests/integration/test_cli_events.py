"""``pi-detector events``, run as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from recorded import DAY, Camera, everything, rows, short_event, started_sink

from pi_detector.cli.doctor_private import readable_by_all

COMMAND = [sys.executable, "-m", "pi_detector", "events"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if "PI_DETECTOR" in name or name == "STATE_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-settings"))
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three events: a and b share a clip, c has a label and zone of its own."""
    root = tmp_path / "recordings"
    sink = started_sink(root)
    camera = Camera(sink)
    camera.frames(2)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("a", "new")
    camera.tell("b", "new", 2, label="car", class_id=1, entered=("door", "yard"))
    camera.frames(2)
    camera.tell("a", "end", reason="gone")
    camera.tell("b", "end", 2, label="car", class_id=1, entered=("door", "yard"), reason="gone")
    camera.frames(9)
    short_event(camera, "c-1", label="=cmd()\x1b[2J", entered=("=1+1",))
    sink.close()
    return root


def events(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )


def output_of(*args: object) -> str:
    done = events(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(code: int, *args: object) -> str:
    done = events(*args)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_the_list_is_a_table_that_leaves_the_terminal_alone(folder: Path) -> None:
    lines = output_of("list", "--folder", folder).splitlines()
    assert lines[0].split() == [
        "event", "started", "lasted", "label", "score", "zones", "clips", "MB", "state"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["c-1", "b", "a"]
    assert "\x1b" not in "".join(lines)
    assert r"=cmd()\x1b[2J" in lines[1]
    assert "2026-11-24 02:03:06" in lines[3]
    assert "door, yard" in lines[2]
    assert lines[3].endswith("complete")


def test_the_list_as_json_is_what_programs_read(folder: Path) -> None:
    found = [
        json.loads(line) for line in output_of("list", "--folder", folder, "--json").splitlines()
    ]
    assert [each["event"]["id"] for each in found] == ["c-1", "b", "a"]
    (clip,) = [file for file in found[2]["files"] if file["kind"] == "clip"]
    assert clip["path"] == f"{folder}/{DAY}/a.mp4"
    assert clip["duration_s"] > 4
    assert found[2]["state"] == "complete"
    assert found[2]["keep"] is False
    assert found[0]["size_bytes"] == sum(
        Path(file["path"]).stat().st_size for file in found[0]["files"]
    )


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (["--label", "car"], "b"),
        (["--label", "car", "--label", "person"], "ba"),
        (["--zone", "yard"], "b"),
        (["--since", "2026-11-24T02:03:12+00:00"], "c"),
        (["--until", "2026-11-24T02:03:12"], "ba"),
        (["--since", "2026-11-24", "--until", "2026-11-25", "--limit", "2"], "cb"),
        (["--since", "today", "--label", "nothing"], ""),
        (["--kept"], ""),
    ],
)
def test_filters(folder: Path, wanted: list[str], ids: str) -> None:
    lines = output_of("list", "--folder", folder, "--json", *wanted).splitlines()
    assert [json.loads(line)["event"]["id"][0] for line in lines] == list(ids)


def test_show_tells_all_of_an_event(folder: Path) -> None:
    text = output_of("show", "--folder", folder, "b")
    for words in ("car", "door, yard", "gone", "complete", f"{folder}/{DAY}/b.jpg", "a.mp4"):
        assert words in text
    event = json.loads(output_of("show", "--folder", folder, "--json", "c"))
    assert event["event"]["id"] == "c-1"


def test_keep_protects_and_delete_spares(folder: Path) -> None:
    assert output_of("keep", "--folder", folder, "a") == "1 events kept\n"
    assert "complete, kept" in output_of("list", "--folder", folder, "--kept")
    line = fails(75, "delete", "--folder", folder, "a")
    assert "a: the event is protected; add --force" in line
    line = fails(64, "delete", "--folder", folder, "--until", "1d")
    assert "1 events match; add --yes" in line or "2 events match; add --yes" in line
    assert output_of("delete", "--folder", folder, "--until", "2030-01-01", "--yes") == (
        "2 events deleted\n"
    )
    assert [row.entry.event.id for row in rows(folder)] == ["a"]
    assert f"{DAY}/a.mp4" in everything(folder), "shared with b, which is gone"
    assert output_of("keep", "--folder", folder, "--off", "a") == "1 events no longer kept\n"
    assert output_of("delete", "--folder", folder, "a") == "1 events deleted\n"
    assert [name for name in everything(folder) if "2026" in name] == []


def test_an_event_that_goes_on_is_not_deleted(folder: Path) -> None:
    sink = started_sink(folder, longest_clip_s=10)
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("long", "new")
    camera.frames(14)
    sink._disk.drain(10)
    assert "recording" in output_of("list", "--folder", folder)
    assert "is ongoing" in fails(75, "delete", "--folder", folder, "long")
    output_of("keep", "--folder", folder, "long")
    sink.close()
    (row,) = rows(folder, keys=("long",))
    assert row.keep, "what the recorder wrote afterwards did not undo it"


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar"])
def test_export(folder: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    said = output_of("export", "--folder", folder, "--to", target)
    assert said == f"{target}: 3 events, 11 files\n"
    out = tmp_path / "unpacked" if suffix else target
    if suffix == ".zip":
        with zipfile.ZipFile(target) as archive:
            assert archive.testzip() is None
            archive.extractall(out)
    elif suffix:
        with tarfile.open(target) as archive:
            archive.extractall(out, filter="data")
    for name in everything(folder):
        if name.endswith((".mp4", ".jpg")):
            assert (out / name).read_bytes() == (folder / name).read_bytes()
    listed = json.loads((out / "events.json").read_text())
    assert [each["event"]["id"] for each in listed] == ["c-1", "b", "a"]
    assert (out / listed[0]["files"][0]["path"]).exists()
    with (out / "events.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["id"] for row in table] == ["c-1", "b", "a"]
    assert table[0]["label"].startswith("'=cmd()"), "no formula"
    assert table[1]["zones"] == "door yard"
    assert "exists" in fails(64, "export", "--folder", folder, "--to", target)


def test_export_of_some(folder: Path, tmp_path: Path) -> None:
    output_of("export", "--folder", folder, "--to", tmp_path / "some", "b")
    assert [name for name in everything(tmp_path / "some") if name.endswith(".mp4")] == [
        f"{DAY}/a.mp4"
    ]


def test_an_export_that_fails_leaves_nothing(folder: Path) -> None:
    line = fails(74, "export", "--folder", folder, "--to", "/proc/out.zip")
    assert "/proc/out.zip: cannot write" in line


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["show", "nothing"], 66, "nothing: no such event"),
        (["list", "--since", "soon"], 64, "'soon' is not a time"),
        (["list", "--since", "999999w"], 64, "is not a time"),
        (["delete"], 64, "no events named"),
        (["show"], 64, "required"),
    ],
)
def test_mistakes_are_one_line(folder: Path, args: list[str], code: int, words: str) -> None:
    assert words in fails(code, args[0], "--folder", folder, *args[1:])


def test_an_id_that_several_events_start_with(folder: Path) -> None:
    sink = started_sink(folder, clips=False)
    camera = Camera(sink)
    short_event(camera, "c-2")
    short_event(camera, "c-11")
    sink.close()
    assert "3 events begin with this ID" in fails(64, "show", "--folder", folder, "c-")
    assert output_of("show", "--folder", folder, "c-1").startswith("event      c-1\n")


def test_without_recordings(tmp_path: Path) -> None:
    line = fails(66, "list", "--folder", tmp_path / "none")
    assert f"{tmp_path}/none: no recordings in it" in line


def test_a_damaged_index_is_told(folder: Path) -> None:
    (folder / "index.sqlite").write_bytes(b"no database" * 100)
    assert "damaged" in fails(74, "list", "--folder", folder)


def test_the_folder_is_that_of_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert output_of("list", "--set", f"recording.path={folder}").count("\n") == 4
    monkeypatch.setenv("STATE_DIRECTORY", str(folder.parent))
    assert output_of("list").count("\n") == 4


@pytest.mark.parametrize("recorder_runs", [True, False])
def test_reading_as_another_user(recorder_runs: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sink = started_sink(root, clips=False)
        short_event(Camera(sink), "a")
        sink._disk.drain(10)
        if not recorder_runs:
            sink.close()
        for path in (root, *root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            found = [row.entry.event.id for row in rows(root)]
            os._exit(0 if found == ["a"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        sink.close()


@pytest.fixture
def outsider() -> list[str]:
    """Has a command run by a user without rights."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not readable_by_all(Path(__file__)):
        pytest.skip("another user cannot reach this checkout")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


@pytest.mark.parametrize("closed", [".", "index.sqlite"])
@pytest.mark.parametrize("named", [True, False])
def test_recordings_of_others_are_not_said_to_be_missing(
    outsider: list[str], closed: str, named: bool
) -> None:
    """As for one who is not in the group of the service."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        state = Path(name, "state")
        folder = state / "recordings"
        started_sink(folder).close()
        for path in (state, *state.rglob("*")):
            path.chmod(path.stat().st_mode | 0o005)
        (state if closed == "." else folder / closed).chmod(0o750)
        # The folder of the service is a constant.
        program = (
            "import pathlib, sys; import pi_detector.cli.events as events, pi_detector.cli.main as "
            f"main; events._SERVICE_FOLDER = pathlib.Path({str(folder)!r}); sys.exit(main.main())"
        )
        option = ["--folder", str(folder)] if named else []
        done = subprocess.run(
            [*outsider, sys.executable, "-c", program, "events", "list", *option],
            env={"HOME": name}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == os.EX_NOPERM, done.stderr
    assert "usermod -aG pi-detector" in done.stderr
