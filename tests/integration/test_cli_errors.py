"""Bad input, as a user meets it: one line on standard error, the right exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import pi_detector
from where import CHECKOUT

STREET = CHECKOUT / "models/street"


def assert_error(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command ended with ``code`` and one error line that has all ``words``."""
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if "pi-detector: error: " in line]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in errors[0]
    assert done.returncode == code, done.stderr


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 128, np.uint8))
    return path


def test_unknown_option() -> None:
    assert_error(pi_detector("run", "--sorce", "demo:"), os.EX_USAGE, "--sorce", "--help")


def test_no_command() -> None:
    assert_error(pi_detector(), os.EX_USAGE, "COMMAND", "pi-detector --help")


def test_unknown_command() -> None:
    assert_error(pi_detector("dectect"), os.EX_USAGE, "dectect")


@pytest.mark.parametrize("frames", ["0", "-3", "many"])
def test_count_that_is_none(frames: str) -> None:
    assert_error(pi_detector("run", "--frames", frames), os.EX_USAGE, "--frames")


def test_model_missing(picture: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.tflite"
    done = pi_detector("detect", picture, "--model", missing)
    assert_error(done, os.EX_NOINPUT, str(missing))


def test_model_is_not_tflite(picture: Path, tmp_path: Path) -> None:
    model, labels = tmp_path / "notes.tflite", tmp_path / "labels.txt"
    model.write_text("these are notes, not a model\n" * 10)
    labels.write_text("person\n")
    done = pi_detector("detect", picture, "--model", model, "--labels", labels)
    assert_error(done, os.EX_DATAERR, str(model))


def test_model_truncated(picture: Path, tmp_path: Path) -> None:
    model = tmp_path / "half.tflite"
    whole = (STREET / "model.tflite").read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    done = pi_detector("detect", picture, "--model", model, "--labels", STREET / "labels.txt")
    assert_error(done, os.EX_DATAERR, str(model))


def test_model_altered(picture: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "street"
    shutil.copytree(STREET, bundle)
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.tflite").write_bytes(content)
    done = pi_detector("detect", picture, "--model", bundle)
    assert_error(done, os.EX_DATAERR, str(bundle), "SHA-256")
    assert_error(pi_detector("models", "verify", bundle), os.EX_DATAERR, str(bundle), "SHA-256")


def test_labels_do_not_fit(picture: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "street"
    shutil.copytree(STREET, bundle)
    (bundle / "labels.txt").write_text("person\n")
    assert_error(pi_detector("detect", picture, "--model", bundle), os.EX_DATAERR, "labels")


def test_unknown_scheme() -> None:
    done = pi_detector("run", "--source", "gopher://camera", "--frames", 1)
    assert_error(done, os.EX_CONFIG, "gopher")


def test_camera_absent() -> None:
    done = pi_detector("run", "--source", "v4l2:/dev/video99", "--frames", 1)
    assert_error(done, os.EX_NOINPUT, "/dev/video99")


def test_unknown_setting() -> None:
    done = pi_detector("run", "--set", "source.ury=demo:")
    assert_error(done, os.EX_CONFIG, "source.ury", "uri")


def test_unknown_setting_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[source]\n\nury = 'demo:'\n")
    done = pi_detector("--config", config, "run")
    assert_error(done, os.EX_CONFIG, f"{config}:3", "uri")
    assert_error(pi_detector("config", "check", config), os.EX_CONFIG, f"{config}:3")


def test_score_out_of_range(picture: Path) -> None:
    done = pi_detector("detect", picture, "--min-score", 1.5)
    assert_error(done, os.EX_CONFIG, "min_score", "1.5")


def test_path_that_does_not_exist(tmp_path: Path) -> None:
    done = pi_detector("detect", tmp_path / "none.jpg")
    assert_error(done, os.EX_NOINPUT, "none.jpg")


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert_error(pi_detector("detect", tmp_path), os.EX_NOINPUT, str(tmp_path))


def test_nothing_can_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    assert_error(pi_detector("detect", tmp_path), os.EX_DATAERR, "bad.jpg")


def test_video_has_no_coco_results(tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").touch()
    done = pi_detector("detect", tmp_path, "--format", "coco")
    assert_error(done, os.EX_USAGE, "clip.mkv")


def test_output_that_cannot_be_written(picture: Path, tmp_path: Path) -> None:
    done = pi_detector("detect", picture, "--output", tmp_path / "none/out.jsonl")
    assert_error(done, os.EX_IOERR, "none/out.jsonl")


def test_settings_file_is_not_overwritten(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("# mine\n")
    assert_error(pi_detector("config", "init", config), os.EX_USAGE, str(config), "--force")
    assert config.read_text() == "# mine\n"


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    done = pi_detector("-v", "detect", tmp_path / "none.jpg")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pi-detector: error: ")
    assert done.returncode == os.EX_NOINPUT


BROKEN = """
import sys
from pi_detector.cli import main, schema

def broken(args):
    raise KeyError("who wrote this")

schema.run = broken
sys.exit(main.main({args!r}))
"""


def broken_command(tmp_path: Path, *args: str, journal: bool = False) -> tuple[int, str]:
    log = tmp_path / "log"
    with log.open("w") as err:
        status = os.fstat(err.fileno())
        stream = f"{status.st_dev}:{status.st_ino}" if journal else ""
        done = subprocess.run(
            [sys.executable, "-c", BROKEN.format(args=[*args, "schema"])],
            stderr=err,
            env={**os.environ, "JOURNAL_STREAM": stream},
            check=False,
        )
    return done.returncode, log.read_text()


def test_a_fault_of_its_own_is_one_line(tmp_path: Path) -> None:
    code, said = broken_command(tmp_path)
    assert code == os.EX_SOFTWARE
    assert said.splitlines() == [
        "pi-detector: error: unexpected KeyError: 'who wrote this'; this is a bug in "
        "pi-detector: please report it with the traceback that -v shows"
    ]


@pytest.mark.parametrize("journal", [False, True], ids=["verbose", "journal"])
def test_the_traceback_of_a_fault_can_be_had(tmp_path: Path, journal: bool) -> None:
    code, said = broken_command(tmp_path, *([] if journal else ["-v"]), journal=journal)
    assert code == os.EX_SOFTWARE
    assert said.count("Traceback (most recent call last)") == 1
    assert "in broken" in said
