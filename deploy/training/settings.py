"""How to train."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

LOWEST_RATE = 0.02
"""The cosine ends at this share of the peak."""


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
        batch: photos a step, over all processes.
        accumulate: micro-batches that a process goes through in a step, to save memory; batch norm
            sees a micro-batch at a time.
        least_steps: steps of the whole training where a pass through the photos is so short that
            the epochs give fewer: an epoch is then longer than a pass.
        learning_rate: peak rate of AdamW; it warms up, then falls on a cosine.
        weight_decay: of AdamW, on convolution weights alone.
        warmup_steps: steps until the rate's peak; a tenth of all steps where that is less.
        frozen_blocks: bottlenecks that keep their weights, with the stem; 0 trains everything.
        only: layers that are trained, by the begin of their names; empty trains all.
        teacher_weight: weight of what a dense teacher says, where there is one: a network of the
            same anchors that says of every one of them what it knows, so that it is not forgotten.
        pull: how strongly weights are drawn to the teacher's, as weight decay draws them to zero
            (X. Li et al., "Explicit Inductive Bias for Transfer Learning", 2018).
        mosaic: share of the samples that are mosaics of four photos.
        ema_decay: decay of the exponential moving average of the weights, which is what ships.
        bfloat16: autocast; faster on a GPU and on a CPU with AMX or AVX512-BF16, slower on others.
        workers: processes that load and augment.
        checkpoint_minutes: time between checkpoints inside an epoch.
        seed: of everything random.
    """

    phases: tuple[Phase, ...]
    batch: int = 16
    accumulate: int = 1
    least_steps: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 300
    frozen_blocks: int = 0
    only: tuple[str, ...] = ()
    teacher_weight: float = 1.0
    pull: float = 0.0
    mosaic: float = 0.3
    ema_decay: float = 0.998
    bfloat16: bool = False
    workers: int = 1
    checkpoint_minutes: float = 10.0
    seed: int = 1

    def outcome(self) -> dict[str, object]:
        """What decides the result, as plain values: a resumed training must have the same."""
        free = ("workers", "checkpoint_minutes", "bfloat16")
        return json.loads(json.dumps({k: v for k, v in asdict(self).items() if k not in free}))

    def steps_per_epoch(self, photos: int) -> int:
        """Steps of an epoch on a number of photos."""
        epochs = sum(phase.epochs for phase in self.phases)
        return max(1, photos // self.batch, math.ceil(self.least_steps / epochs))
