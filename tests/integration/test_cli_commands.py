"""The commands, run as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
import valid

from pi_detector import __version__

COMMAND = [sys.executable, "-m", "pi_detector"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if "PI_DETECTOR" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-settings"))


def pi_detector(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )


def output_of(*args: object) -> str:
    done = pi_detector(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two grey pictures, and a file between them that is none."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(pictures / name), np.full((48, 64, 3), 128, np.uint8))
    (pictures / "b.jpg").write_text("no picture")
    return pictures


def test_help_imports_nothing_slow_and_searches_for_no_plugin() -> None:
    program = (
        "import sys; from pi_detector.cli.main import main; code = main(['--help']); "
        "slow = {'cv2', 'numpy', 'msgspec', 'shtab', 'importlib.metadata', 'difflib'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr); "
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert "examples:" in done.stdout


def test_version() -> None:
    assert output_of("--version") == f"pi-detector {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "detect",
        "replay",
        "events",
        "doctor",
        "models",
        "config",
        "report",
        "schema",
        "completion",
    ],
)
def test_every_command_has_help_with_examples(command: str) -> None:
    text = output_of(command, "--help")
    assert "examples:" in text
    assert f"pi-detector {command}" in text


def test_schema_is_the_records_schema() -> None:
    schema = json.loads(output_of("schema"))
    assert "DetectionsRecord" in schema["$defs"]


def test_messages_of_ros_fit_their_schema() -> None:
    schema = json.loads(output_of("schema", "--format", "vision_msgs"))
    validator = jsonschema.Draft202012Validator(schema)
    text = output_of(
        "run", "--source", "demo:", "--frames", 3, "--set", "output.stdout=vision_msgs"
    )
    messages = [json.loads(line) for line in text.splitlines()]
    assert len(messages) == 3
    assert any(message["detections"] for message in messages)
    for message in messages:
        validator.validate(message)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_and_options(shell: str) -> None:
    text = output_of("completion", shell)
    assert "doctor" in text
    assert "min-score" in text


def test_bash_reads_the_completion(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(output_of("completion", "bash"))
    subprocess.run(["bash", "-n", script], check=True, timeout=10)


@pytest.mark.parametrize(
    "words", [("run", "--source"), ("run", "--model"), ("detect", "--model"), ("replay",)]
)
def test_bash_completes_names_of_files(tmp_path: Path, words: tuple[str, ...]) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(output_of("completion", "bash"))
    (tmp_path / "porch.mp4").touch()
    line = ("pi-detector", *words, "por")
    program = (
        f"source {script}; COMP_WORDS=({' '.join(line)}); COMP_CWORD={len(line) - 1}; "
        '_shtab_pi_detector; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert done.stdout.splitlines() == ["porch.mp4"], done.stderr


def test_settings_written_are_valid_and_are_the_defaults(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    output_of("config", "init", config)
    assert output_of("config", "check", config) == f"{config}: valid\n"
    assert output_of("--config", config, "config", "show") == output_of("config", "show")
    assert output_of("config", "init", "-") == config.read_text()


def test_options_before_and_after_the_command_add_up() -> None:
    shown = output_of(
        "--set",
        "source.fps=7",
        "config",
        "show",
        "--set",
        "source.uri=demo:",
        "--set",
        "log.level=error",
    )
    settings = tomllib.loads(shown)
    assert settings["source"]["fps"] == 7
    assert settings["source"]["uri"] == "demo:"


def test_doctor_gives_json_of_all_checks() -> None:
    done = pi_detector("doctor", "--json")
    report = json.loads(done.stdout)
    whats = {check["what"] for check in report["checks"]}
    assert {"kernel", "clock", "disk", "Python", "runtime", "settings", "model"} <= whats
    failed = [check for check in report["checks"] if check["level"] == "fail"]
    assert report["healthy"] == (not failed)
    assert done.returncode == (os.EX_UNAVAILABLE if failed else os.EX_OK)


def test_doctor_finds_the_model_that_is_missing(tmp_path: Path) -> None:
    done = pi_detector("doctor", "--model", tmp_path / "none.tflite")
    assert done.returncode == os.EX_UNAVAILABLE
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("fail  model: ")]
    assert "none.tflite" in line
    assert "Traceback" not in done.stderr


def test_doctor_goes_on_after_bad_settings() -> None:
    done = pi_detector("doctor", "--set", "source.ury=demo:")
    assert "fail  settings: " in done.stdout
    assert "model: " in done.stdout
    assert done.returncode == os.EX_UNAVAILABLE


def test_doctor_passes_with_the_model_that_ships() -> None:
    lines = output_of("doctor").splitlines()
    assert any(line.startswith("ok    model: ") for line in lines)


def test_models() -> None:
    assert "street" in output_of("models", "list")
    assert "person" in output_of("models", "show", "street")
    assert "street" in output_of("models", "verify")


def test_detect_passes_over_what_is_no_picture(folder: Path) -> None:
    done = pi_detector("detect", folder)
    records = valid.records(done.stdout)
    assert [Path(record["path"]).name for record in records] == ["a.png", "c.png"]
    assert all(record["type"] == "detections" for record in records)
    assert "b.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == os.EX_DATAERR


def test_detect_coco_takes_ids_from_annotations(folder: Path, tmp_path: Path) -> None:
    (folder / "b.jpg").unlink()
    annotations = tmp_path / "val.json"
    images = [{"id": 31, "file_name": "a.png"}, {"id": 12, "file_name": "c.png"}]
    annotations.write_text(json.dumps({"images": images}))
    output = tmp_path / "results.json"
    options = ["--annotations", annotations, "--output", output, "--min-score", "0"]
    assert output_of("detect", folder, "--format", "coco", *options) == ""
    rows = json.loads(output.read_text())
    assert {(row["image_id"], row["file_name"]) for row in rows} == {(31, "a.png"), (12, "c.png")}
    assert all(len(row["bbox"]) == 4 and row["bbox"][2] >= 0 for row in rows)
    assert all(sum(row["image_id"] == one for row in rows) <= 100 for one in (31, 12))


def test_detect_table_and_annotated_pictures(folder: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    text = output_of("detect", folder / "a.png", "--format", "table", "--annotate", seen)
    assert "a.png  64x48  " in text
    assert text.splitlines()[-1].startswith("1 frame, ")
    (annotated,) = seen.iterdir()
    assert cv2.imread(str(annotated)).shape == (48, 64, 3)


def test_run_ends_after_so_many_frames() -> None:
    done = pi_detector("run", "--source", "demo:", "--frames", 3)
    assert done.returncode == 0, done.stderr
    kinds = [record["type"] for record in valid.records(done.stdout)]
    assert kinds.count("detections") == 3
    assert kinds[0] == "status"
    assert "3 processed" in done.stderr.splitlines()[-1]


def test_run_quiet_writes_nothing() -> None:
    assert output_of("run", "--source", "demo:", "--frames", 2, "--quiet") == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_stops_on_a_signal(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "--source", "demo:"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    while valid.record(process.stdout.readline())["type"] != "detections":
        pass
    asked = time.monotonic()
    process.send_signal(number)
    rest, log = process.communicate(timeout=30)
    assert time.monotonic() - asked < 5
    assert process.returncode == 0
    assert rest == b"" or rest.endswith(b"\n")
    assert b"frames captured" in log
    assert b"Traceback" not in log


@pytest.mark.parametrize(
    "args", [["run", "--source", "demo:"], ["schema"], ["completion", "bash"], ["--help"]]
)
def test_closed_pipe_is_a_clean_end(args: list[str]) -> None:
    process = subprocess.Popen([*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline() if args[0] == "run" else None
    process.stdout.close()
    log = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert b"Traceback" not in log
    assert b"BrokenPipe" not in log


@pytest.mark.parametrize(
    "args", [["schema"], ["detect", "PICTURES", "--format", "table"], ["detect", "PICTURES"]]
)
def test_output_that_is_full_is_an_error(folder: Path, args: list[str]) -> None:
    command = [*COMMAND, *(str(folder / "a.png") if arg == "PICTURES" else arg for arg in args)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == os.EX_IOERR, done.stderr
    assert "pi-detector: error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_file_name_that_is_not_utf8(folder: Path) -> None:
    (folder / "b.jpg").unlink()
    os.rename(folder / "c.png", os.fsencode(folder) + b"/\xff.png")  # noqa: PTH104 - bytes
    for kind in ("jsonl", "coco"):
        text = output_of("detect", folder, "--format", kind, "--min-score", "0")
        rows = valid.records(text) if kind == "jsonl" else json.loads(text)
        assert len(rows) > 1
    assert "udcff.png" in output_of("detect", folder, "--format", "table")


def test_the_state_of_a_file_is_told_as_that_of_a_camera(folder: Path) -> None:
    text = output_of("run", "--source", f"images:{folder}")
    rows = [valid.record(line.encode() + b"\n") for line in text.splitlines()]
    kinds = [row.get("state") if row.get("part") == "source" else row["type"] for row in rows]
    told = [kind for kind in kinds if kind != "status"]
    assert told == ["live", "detections", "detections", "stopped"]
    assert {row["name"] for row in rows if row.get("part") == "source"} == {"images:pictures"}
