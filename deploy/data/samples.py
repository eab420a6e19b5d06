"""Training samples by number, and their batches as tensors."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from deploy.data.augment import MOSAIC_PROBABILITY, Sample, augmented
from deploy.data.dataset import Dataset, read_photo, sampling_weights
from deploy.progress import progress
from deploy.training.loss import Targets


class Samples(TorchDataset[Sample]):
    """Augmented samples by number; decoded photos are kept in memory.

    A sample depends on the seed and on its number alone: training that is resumed, or spread over
    processes, sees the same samples as one that is not.
    """

    def __init__(self, dataset: Dataset, seed: int, mosaic: float = MOSAIC_PROBABILITY) -> None:
        self.photos = dataset.photos
        self.images = [read_photo(p.path) for p in progress(self.photos, "reading photos")]
        self.weights = sampling_weights(self.photos)
        self.seed = seed
        self.mosaic = mosaic
        self.size = 0

    def __getitem__(self, number: int) -> Sample:
        """The sample of this number, ``size`` pixels wide and high."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.seed, number])
        count = 4 if rng.random() < self.mosaic else 1
        picks = rng.choice(len(self.photos), count, p=self.weights)
        return augmented([(self.photos[i], self.images[i]) for i in picks], self.size, rng)


class ShareOfSteps:
    """The sample numbers of a process, micro-batch by micro-batch.

    Each step takes the next ``batch`` numbers; they are cut into one micro-batch for each process
    and each round of accumulation, so that two processes work on the same micro-batches as one
    process that accumulates two.
    """

    def __init__(self, steps: range, batch: int, *, rank: int, world: int, rounds: int) -> None:
        self.steps = steps
        self.batch = batch
        self.size = batch // (world * rounds)
        self.mine = range(rank * rounds, (rank + 1) * rounds)

    def __len__(self) -> int:
        return len(self.steps) * len(self.mine)

    def __iter__(self) -> Iterator[range]:
        for step in self.steps:
            for part in self.mine:
                start = step * self.batch + part * self.size
                yield range(start, start + self.size)


def collate(samples: list[Sample]) -> tuple[Tensor, list[Targets]]:
    """Network inputs (uint8, channels first) and ground truth of a batch."""
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    targets = [
        Targets(*(torch.from_numpy(v) for v in (s.xyxy, s.classes, s.ignored, s.regions, s.known)))
        for s in samples
    ]
    return images.permute(0, 3, 1, 2), targets


def to_input(images: Tensor) -> Tensor:
    """Bytes to the network's input range: ``(byte - 128) / 128``."""
    return (images.float() - 128.0).div_(128.0).contiguous(memory_format=torch.channels_last)


def photo_inputs(dataset: Dataset, count: int, size: int, seed: int) -> Tensor:
    """Whole photos, a balanced choice, as (count, 3, size, size) network inputs."""
    rng = np.random.default_rng(seed)
    picks = rng.choice(len(dataset.photos), count, p=sampling_weights(dataset.photos))
    photos = [cv2.resize(read_photo(dataset.photos[i].path), (size, size)) for i in picks]
    return to_input(torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2))
