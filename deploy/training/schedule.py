"""How to train by what there is: epochs where photos are many, steps where they are few."""

from __future__ import annotations

from dataclasses import dataclass

FEW_PHOTOS = 1000
"""Below this number an epoch is too short to count by."""
FEW_STEPS = 400
"""Steps that a warm-started network takes to learn a class of its own from few photos."""
FEW_FROZEN_BLOCKS = 7
"""Bottlenecks that see edges and textures, which few photos can only spoil."""
FEW_MOSAIC = 0.5
"""Share of mosaics of four photos: few photos in many company."""


@dataclass(frozen=True)
class Schedule:
    """How to train: input sizes with their epochs, and what ``TrainSettings`` says of the rest."""

    phases: tuple[tuple[int, int], ...]
    least_steps: int
    learning_rate: float
    frozen_blocks: int
    mosaic: float


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; None leaves it to the schedule."""

    phases: tuple[tuple[int, int], ...] | None = None
    steps: int | None = None
    learning_rate: float | None = None
    frozen_blocks: int | None = None
    mosaic: float | None = None


def schedule(wanted: Wanted, photos: int, detector: bool) -> Schedule:
    """The schedule for a number of photos.

    Args:
        wanted: what is asked for counts.
        photos: number of training photos.
        detector: whether the network starts from a trained detector.
    """
    few = detector and photos < FEW_PHOTOS
    usual = ((288, 10),) if few else ((224, 6), (300, 8))

    def pick(value: float | None, if_few: float, otherwise: float) -> float:
        return value if value is not None else if_few if few else otherwise

    return Schedule(
        phases=wanted.phases or usual,
        least_steps=int(pick(wanted.steps, FEW_STEPS, 0)),
        learning_rate=pick(wanted.learning_rate, 5e-4, 1e-3),
        frozen_blocks=int(pick(wanted.frozen_blocks, FEW_FROZEN_BLOCKS, 0)),
        mosaic=pick(wanted.mosaic, FEW_MOSAIC, 0.3),
    )
