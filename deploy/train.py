"""Training: photos and boxes to a float checkpoint.

The schedule is a list of phases, each an input size and a number of epochs: the early epochs run
on small inputs, where a CPU is fastest, and the last ones at the size that ships (M. Tan and
Q. Le, "EfficientNetV2", 2021, call it progressive learning).
"""

from __future__ import annotations

import copy
import ctypes
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from deploy.augment import MOSAIC_PROBABILITY, Sample, augmented
from deploy.dataset import Dataset, read_photo, sampling_weights
from deploy.files import write_aside
from deploy.loss import DetectionLoss, Targets
from deploy.network import NetworkSpec, SSDLite
from deploy.warmstart import load_weights


log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or continued."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one input size."""

    input_size: int
    epochs: int


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes:
        phases: input sizes and epochs, in order; the last size is the one that ships.
        batch: photos a step.
        learning_rate: peak rate of AdamW; it warms up, then falls on a cosine.
        weight_decay: of AdamW, on convolution weights alone.
        frozen_blocks: bottlenecks that keep their weights, with the stem; 0 trains everything.
        ema_decay: decay of the exponential moving average of the weights, which is what ships.
        bfloat16: autocast; faster on a CPU with AMX or AVX512-BF16, slower on others.
        workers: processes that load and augment.
        seed: of everything random.
    """

    phases: tuple[Phase, ...]
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 300
    frozen_blocks: int = 0
    ema_decay: float = 0.998
    bfloat16: bool = False
    workers: int = 1
    seed: int = 1


class Samples(TorchDataset[Sample]):
    """Augmented samples by number; decoded photos are kept in memory.

    A sample depends on the seed and on its number alone: training that is resumed, or spread over
    processes, sees the same samples as one that is not.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.photos = dataset.photos
        self.images = [
            read_photo(p.path) for p in tqdm(self.photos, "reading photos", disable=None)
        ]
        self.weights = sampling_weights(self.photos)
        self.seed = seed
        self.size = 0

    def __getitem__(self, number: int) -> Sample:
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.seed, number])
        count = 4 if rng.random() < MOSAIC_PROBABILITY else 1
        picks = rng.choice(len(self.photos), count, p=self.weights)
        return augmented([(self.photos[i], self.images[i]) for i in picks], self.size, rng)


def collate(samples: list[Sample]) -> tuple[Tensor, list[Targets]]:
    """Network inputs and ground truth of a batch."""
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    targets = [
        Targets(*(torch.from_numpy(v) for v in (s.xyxy, s.classes, s.ignored, s.regions, s.known)))
        for s in samples
    ]
    return images.permute(0, 3, 1, 2), targets


def to_input(images: Tensor) -> Tensor:
    """Bytes to the network's input range: ``(byte - 128) / 128``."""
    return (images.float() - 128.0).div_(128.0).contiguous(memory_format=torch.channels_last)


def keep_freed_memory() -> None:
    """Stop glibc from returning big buffers to the kernel after each step.

    Page faults on fresh memory otherwise take half of a training step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 2**28)


class Trainer:
    """Trains one network; its state can be saved at any epoch and resumed."""

    def __init__(self, spec: NetworkSpec, settings: TrainSettings, out: Path) -> None:
        keep_freed_memory()
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.spec = spec
        self.settings = settings
        self.out = out
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network = SSDLite(spec).to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.epoch = 0
        self.step = 0
        backbone, count = self.network.backbone, settings.frozen_blocks
        self.frozen = [backbone.stem, *backbone.blocks[:count]] if count else []
        for module in self.frozen:
            module.requires_grad_(False)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)

    def warm_start(self, tflite: Path, dataset: Dataset) -> None:
        """Load the backbone from an ImageNet classifier."""
        rng = np.random.default_rng(self.settings.seed)
        picks = rng.choice(len(dataset.photos), 64, p=sampling_weights(dataset.photos))
        size = (self.spec.input_size,) * 2
        photos = [cv2.resize(read_photo(dataset.photos[i].path), size) for i in picks]
        images = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)
        part = load_weights(self.network, tflite, to_input(images).to(self.device))
        log.info("%s starts from %s", part, tflite)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint of the same network."""
        state = load_checkpoint(checkpoint)
        if state["spec"] != asdict(self.spec):
            raise CheckpointError(f"{checkpoint}: is of another network ({state['spec']})")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]

    def save(self) -> Path:
        """Write a checkpoint (aside, then renamed)."""
        path = self.out / "last.pt"
        state = {
            "spec": asdict(self.spec),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
        }
        write_aside(path, lambda file: torch.save(state, file))
        return path

    def run(self, dataset: Dataset) -> Path:
        """Train through all phases; a checkpoint and a line of ``loss.jsonl`` an epoch."""
        per_epoch = max(1, len(dataset.photos) // self.settings.batch)
        total = sum(p.epochs for p in self.settings.phases) * per_epoch
        end = 0
        samples = Samples(dataset, self.settings.seed)
        for phase in self.settings.phases:
            end += phase.epochs
            if self.epoch >= end:
                continue
            anchors = self.spec.anchors(phase.input_size)
            criterion = DetectionLoss(anchors, self.spec.classes, self.device)
            samples.size = phase.input_size
            while self.epoch < end:
                self._epoch(self._batches(samples, per_epoch), criterion, total, phase.input_size)
        return self.out / "last.pt"

    def _batches(
        self, samples: Samples, steps: int
    ) -> DataLoader[tuple[Tensor, list[Targets]]]:
        """The batches of an epoch, from the present step on."""
        batch, workers = self.settings.batch, self.settings.workers
        return DataLoader(
            samples,
            batch,
            sampler=range(self.step * batch, (self.epoch + 1) * steps * batch),
            num_workers=workers,
            collate_fn=collate,
            prefetch_factor=4 if workers else None,
        )

    def _epoch(
        self,
        batches: DataLoader[tuple[Tensor, list[Targets]]],
        criterion: DetectionLoss,
        total: int,
        size: int,
    ) -> None:
        started = time.monotonic()
        self.network.train()
        for module in self.frozen:
            module.eval()
        sums = np.zeros(2)
        steps = len(batches)
        bar = tqdm(
            batches, f"epoch {self.epoch + 1} at {size} px", mininterval=5, disable=None
        )
        for index, (images, targets) in enumerate(bar):
            rate = self._rate(total)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.bfloat16):
                logits, coded = self.network(to_input(images.to(self.device)))
            moved = [Targets(*(v.to(self.device) for v in vars(t).values())) for t in targets]
            class_loss, box_loss = criterion(logits.float(), coded.float(), moved)
            self.optimizer.zero_grad(set_to_none=True)
            (class_loss + box_loss).backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
            self.optimizer.step()
            self.step += 1
            self._update_average()
            sums += (class_loss.item(), box_loss.item())
            mean = sums / (index + 1)
            bar.set_postfix_str(f"class {mean[0]:.3f} box {mean[1]:.3f} rate {rate:.1e}", False)
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            "input_size": size,
            "class_loss": round(sums[0] / steps, 5),
            "box_loss": round(sums[1] / steps, 5),
            "seconds": round(time.monotonic() - started, 1),
        }
        with (self.out / "loss.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.save()

    def _rate(self, total: int) -> float:
        warm = min(1.0, (self.step + 1) / self.settings.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / total)))
        return self.settings.learning_rate * warm * max(0.02, fall)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint.

    Raises:
        CheckpointError: it is missing, or damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such checkpoint; run `python -m deploy train`"
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path}: damaged, or not a checkpoint ({type(error).__name__}); "
            "remove it to start again, or restore a copy"
        ) from error


def load_network(path: Path) -> SSDLite:
    """The averaged network of a checkpoint, ready for evaluation and export."""
    state = load_checkpoint(path)
    network = SSDLite(NetworkSpec(**state["spec"]))
    network.load_state_dict(state["average"])
    return network.eval()
