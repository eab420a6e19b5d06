"""Few photos are trained by steps, from a detector's weights, and classes are kept."""

import json
import logging
from pathlib import Path

import pytest
import torch

from deploy.__main__ import main
from deploy.data.coco_classes import COCO_IDS
from deploy.data.dataset import load_coco
from deploy.training.checkpoint import labels, load_checkpoint, load_network
from deploy.training.network import NetworkSpec, SSDLite
from deploy.training.schedule import FEW_STEPS, Wanted, schedule
from deploy.training.settings import Phase, TrainSettings
from deploy.training.teacher import DenseTeacher, Knowledge
from deploy.training.train import Trainer

WORLD = Path(__file__).resolve().parents[2] / "models" / "world.pt"
STREET = WORLD.with_name("street")


def test_few_photos_count_by_steps_and_many_by_epochs():
    few, many = (schedule(Wanted(), count, detector=True) for count in (40, 5000))
    settings = [
        TrainSettings(tuple(Phase(*p) for p in plan.phases), least_steps=plan.least_steps)
        for plan in (few, many)
    ]
    steps = [
        s.steps_per_epoch(count) * sum(p.epochs for p in s.phases)
        for s, count in zip(settings, (40, 5000), strict=True)
    ]
    assert steps == [FEW_STEPS, 14 * (5000 // 16)]
    assert few.frozen_blocks > many.frozen_blocks == 0
    assert few.mosaic > many.mosaic
    # Without a detector's weights few photos teach nothing, whatever the schedule.
    assert schedule(Wanted(), 40, detector=False).least_steps == 0


def test_what_is_asked_for_counts():
    plan = schedule(Wanted(((96, 2),), 7, 0.5, 0, 0.0), 40, detector=True)
    assert plan == schedule(Wanted(((96, 2),), 7, 0.5, 0, 0.0), 5000, detector=False)
    assert (plan.phases, plan.least_steps, plan.mosaic) == (((96, 2),), 7, 0.0)


def test_the_rate_reaches_its_peak_however_few_the_steps_are(tmp_path):
    settings = TrainSettings(phases=(Phase(96, 2),), batch=4, workers=0)
    trainer = Trainer(NetworkSpec(1, 96, 0.35), settings, tmp_path)
    rates = []
    for trainer.step in range(20):
        rates.append(trainer._rate(20))
    assert max(rates) > 0.95 * settings.learning_rate
    trainer.step = 29
    assert trainer._rate(100_000) == pytest.approx(0.1 * settings.learning_rate, rel=1e-3)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A class of one's own beside two of the shipped model's, trained for a few steps."""
    root = tmp_path_factory.mktemp("own")
    content = json.loads((data / "train.json").read_text())
    content["categories"] = [{"id": 1, "name": "raccoon"}]
    content["annotations"] = [b for b in content["annotations"] if b["category_id"] == 1]
    for image in content["images"]:
        image["labelled"] = [1]
    (root / "train.json").write_text(json.dumps(content))
    (root / "train").symlink_to(data / "train")
    command = ["train", "--data", str(root), "--warm-start", str(WORLD), "--batch", "4"]
    rest = ["--keep-classes", "person,car", "--phases", "96x1", "--steps", "6", "--workers", "0"]
    assert main([*command, *rest, "--out", str(root / "run")]) == 0
    return root


def test_kept_classes_stand_beside_the_own_one(trained):
    assert labels(trained / "run" / "last.pt") == ["person", "car", "raccoon"]
    assert load_checkpoint(trained / "run" / "last.pt")["step"] == 6


def test_only_the_class_heads_have_moved(trained):
    before, after = load_network(WORLD), load_network(trained / "run" / "last.pt")
    moved = {
        name.split(".")[0]
        for (name, a), (_, b) in zip(
            before.named_parameters(), after.named_parameters(), strict=True
        )
        if a.shape != b.shape or not torch.equal(a, b)
    }
    assert moved == {"classify"}


def test_a_class_that_the_file_lacks_is_unknown_in_every_photo(trained):
    wanted = ["person", "raccoon"]
    dataset = load_coco(trained / "train.json", trained / "train", wanted, lacking=True)
    assert [c.name for c in dataset.categories] == wanted
    assert len({c.id for c in dataset.categories}) == 2
    assert all(photo.known.tolist() == [False, True] for photo in dataset.photos)
    assert {c for photo in dataset.photos for c in photo.classes} == {1}


def test_classes_that_are_not_there_cannot_be_kept(trained, tmp_path, capsys):
    command = ["train", "--data", str(trained), "--out", str(tmp_path), "--keep-classes", "zebu"]
    assert main(command) == 65
    assert "--warm-start; name one" in capsys.readouterr().err
    assert main([*command, "--warm-start", str(STREET)]) == 65
    assert "has no class 'zebu'; it has person" in capsys.readouterr().err


def test_a_strict_teacher_also_holds_scores_down():
    network = SSDLite(NetworkSpec(2, 96, 0.35, norms=False))
    knowledge = Knowledge([True, False], [n for n, _ in network.named_modules()])
    image = torch.rand(1, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        logits = network.eval()(image)[0]
    lengths = [logits.shape[1]]
    above = logits + torch.tensor([4.0, 0.0])
    loose, strict = (DenseTeacher(network, knowledge, strict=s) for s in (False, True))
    assert strict.distance(image, above, lengths) > 10 * loose.distance(image, above, lengths)
    other = logits + torch.tensor([0.0, 4.0])
    same = strict.distance(image, logits, lengths)
    assert strict.distance(image, other, lengths) == pytest.approx(float(same), abs=1e-6)


def test_a_training_that_is_too_short_says_so(data, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        arguments = ["--phases", "96x1", "--width", "0.35", "--batch", "8", "--workers", "0"]
        out = ["--out", str(tmp_path)]
        assert main(["train", "--data", str(data), *out, *arguments]) == 0
    assert "24 photos, 3 steps of 8 samples" in caplog.text
    assert "3 steps are too few to learn from: give --steps" in caplog.text


def test_own_classes_start_from_a_shipped_bundle(data, tmp_path):
    """Of any number and any name: what fits is taken."""
    content = json.loads((data / "train.json").read_text())
    for category, name in zip(content["categories"], ("Fuchs ä", "Eule"), strict=True):
        category["name"] = name
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "train").symlink_to(data / "train")
    command = ["train", "--data", str(tmp_path), "--warm-start", str(STREET), "--phases", "96x1"]
    rest = ["--steps", "1", "--batch", "2", "--workers", "0", "--out", str(tmp_path / "run")]
    assert main([*command, *rest]) == 0
    part = load_checkpoint(tmp_path / "run" / "last.pt")["lineage"][-2]["part"]
    assert "97 layers taken; new classes: Fuchs ä, Eule" in part


def test_all_eighty_classes_are_known_to_the_weights_that_ship():
    assert labels(WORLD) == list(COCO_IDS)
