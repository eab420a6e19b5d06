"""A folder for a detector of one's own: its Makefile works, up to the training."""

import json
import os
import subprocess
import sys

import pytest
from drawn import write_voc

from deploy.__main__ import main


def make(folder, *arguments):
    command = ["make", "-C", str(folder), f"PYTHON={sys.executable}", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path, capsys):
    folder = tmp_path / "yard"
    classes = ["--classes", "person,car,stone marten"]
    assert main(["new", str(folder), *classes, "--keep-classes", "dog"]) == 0
    assert f"make -C {folder}" in capsys.readouterr().out
    return folder


def test_photos_become_what_training_reads(project):
    for part in range(4):
        write_voc(project / "photos" / f"camera{part}")
    done = make(project, "check", "VAL=0.3")
    assert done.returncode == 0, done.stderr
    train, val = (
        json.loads((project / "data" / f"{n}.json").read_text()) for n in ("train", "val")
    )
    assert len(train["images"]) + len(val["images"]) == 12
    assert val["images"]
    names = [category["name"] for category in train["categories"]]
    assert names == ["person", "car", "stone marten"]
    assert make(project, "show").returncode == 0
    assert (project / "sheet.jpg").is_file()


def test_all_steps_in_order(project):
    plan = make(project, "-n").stdout
    steps = ["dataset import", "dataset split", "deploy train", "deploy build"]
    places = [plan.index(step) for step in steps]
    assert places == sorted(places)
    assert "--keep-classes 'dog'" in plan
    assert "--name 'yard' --version '1.0.0'" in plan


def test_an_empty_folder_says_what_is_missing(project):
    done = make(project)
    assert done.returncode != 0
    assert "holds no annotations of a known format" in done.stderr


def test_a_class_that_the_labels_lack_is_named(project):
    write_voc(project / "photos")
    (project / "labels.txt").write_text("person\n")
    done = make(project, "check")
    assert done.returncode != 0
    assert "--classes has no car" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Yard!", "--classes", "fox"], "is no name of a model"),
        (["fox", "--classes", ","], "names no class"),
        (["fox", "--classes", "fox,fox"], "'fox' is there twice"),
        (["fox", "--classes", "fox\x1b"], "is no name that can be printed"),
        (["fox", "--classes", "fox", "--keep-classes", "persn"], "did you mean 'person'?"),
    ],
)
def test_refusals(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", *arguments]) == 65
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(project, capsys):
    (project / "Makefile").write_text("mine")
    assert main(["new", str(project), "--classes", "fox"]) == 65
    assert (project / "Makefile").read_text() == "mine"
