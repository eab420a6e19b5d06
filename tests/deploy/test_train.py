"""Training: resumed, spread over processes, refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deploy.__main__ import main
from deploy.data.dataset import load_coco
from deploy.data.samples import Samples, ShareOfSteps
from deploy.training.checkpoint import load_checkpoint
from deploy.training.network import NetworkSpec
from deploy.training.settings import Phase, TrainSettings
from deploy.training.train import Trainer

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--phases", "96x2", "--width", "0.35", "--batch", "4"]
SPEC = NetworkSpec(2, input_size=96, width=0.35)
SETTINGS = TrainSettings(phases=(Phase(96, 2),), batch=4, workers=0)


def train(data, out, *more):
    return main(["train", "--data", str(data), "--out", str(out), *ARGUMENTS, *more])


def losses(out):
    return [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A training that was never interrupted."""
    out = tmp_path_factory.mktemp("whole")
    assert train(data, out) == 0
    return out


class InterruptedTrainer(Trainer):
    """Is interrupted in the middle of the second epoch, right after a checkpoint."""

    def _step(self, *arguments):
        result = super()._step(*arguments)
        if self.step == 9:
            self.sums += result
            self.save()
            raise KeyboardInterrupt
        return result


def test_an_interrupted_training_ends_with_the_very_same_weights(data, whole, tmp_path):
    dataset = load_coco(data / "train.json", data / "train")
    trainer = InterruptedTrainer(SPEC, SETTINGS, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(dataset)
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 9
    assert train(data, tmp_path) == 0
    expected, found = load_checkpoint(whole / "last.pt"), load_checkpoint(tmp_path / "last.pt")
    assert found["step"] == expected["step"] == 12
    for name, value in expected["average"].items():
        assert torch.equal(value, found["average"][name]), name
    assert [e["class_loss"] for e in losses(tmp_path)] == [e["class_loss"] for e in losses(whole)]


def test_two_processes_lose_what_one_does(data, tmp_path):
    def run(out, start, *more):
        # With one thread each, sums are added in the same order.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", *start, "train", "--data", str(data)]
        done = subprocess.run(
            [*command, "--out", str(out), *ARGUMENTS, *more], env=environment, cwd=ROOT,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return losses(out)

    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "deploy"]
    both = run(tmp_path / "two", torchrun)
    alone = run(tmp_path / "one", ["deploy"], "--accumulate", "2")
    assert len(both) == len(alone) == 2
    for a, b in zip(both, alone, strict=True):
        assert a["class_loss"] == pytest.approx(b["class_loss"], rel=1e-4)
        assert a["box_loss"] == pytest.approx(b["box_loss"], rel=1e-4)


def test_processes_share_each_step_without_gap_or_overlap():
    one = list(ShareOfSteps(range(3, 5), 8, rank=0, world=1, rounds=4))
    two = [list(ShareOfSteps(range(3, 5), 8, rank=r, world=2, rounds=2)) for r in (0, 1)]
    assert one == [*two[0][:2], *two[1][:2], *two[0][2:], *two[1][2:]]
    assert [n for part in one for n in part] == list(range(24, 40))


def test_a_sample_depends_on_its_number_and_the_seed_alone(data):
    dataset = load_coco(data / "train.json", data / "train")
    samples, others = Samples(dataset, 1), Samples(dataset, 2)
    samples.size = others.size = 96
    later = samples[7]
    samples[3]
    assert (samples[7].image == later.image).all()
    assert (others[7].image != later.image).any()


def test_other_settings_do_not_resume(data, whole, capsys):
    assert train(data, whole, "--learning-rate", "0.5") == 65
    assert "was trained with learning_rate 0.001 (now 0.5)" in capsys.readouterr().err


def test_a_batch_that_cannot_be_shared_is_refused(data, tmp_path, capsys):
    assert train(data, tmp_path, "--accumulate", "3") == 65
    assert "a batch of 4 cannot be cut into 3 equal parts" in capsys.readouterr().err


def test_a_full_disk_leaves_the_last_whole_checkpoint(data, whole, tmp_path):
    """The kernel refuses to let the file grow, as it does on a full disk."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
        "from deploy.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    last = tmp_path / "last.pt"
    last.write_bytes((whole / "last.pt").read_bytes())
    state = load_checkpoint(last)
    state["epoch"], state["step"] = 1, 6
    torch.save(state, last)
    before = last.read_bytes()
    command = [sys.executable, "-c", code, "train", "--data", str(data), "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, *ARGUMENTS], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_IOERR, done.stderr
    assert "last.pt" in done.stderr.splitlines()[-1]
    assert last.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_a_bundle_of_another_width_is_no_start(data, tmp_path, capsys):
    start = ["--warm-start", str(ROOT / "models" / "street"), "--phases", "96x1", "--width", "0.5"]
    assert main(["train", "--data", str(data), "--out", str(tmp_path), *start]) == 65
    assert "use a file of the same width" in capsys.readouterr().err
