"""A checkpoint from others: some of the classes, another input size, a mean of two trainings.

The mean of the weights before and after fine-tuning often generalizes better than either (M.
Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from deploy.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from deploy.training.network import NetworkSpec, SSDLite
from deploy.training.warmstart import load_weights, read_weights, select_classes


@dataclass(frozen=True)
class Derivation:
    """What to make of a checkpoint.

    Attributes:
        classes: to keep, in their new order; empty keeps all.
        input_size: in pixels; 0 keeps it.
        blend: another checkpoint of the same network, or weights that a training starts from.
        share: weight of ``blend`` in the mean, in 0..1.
    """

    classes: Sequence[str] = ()
    input_size: int = 0
    blend: Path | None = None
    share: float = 0.0


def derive(checkpoint: Path, wanted: Derivation, out: Path) -> None:
    """Write a checkpoint that is made of another one.

    Raises:
        CheckpointError: one of both cannot be read, or they are of different networks.
    """
    state = load_checkpoint(checkpoint)
    labels = state["labels"]
    if unknown := [name for name in wanted.classes if name not in labels]:
        raise CheckpointError(f"{checkpoint}: has no class {unknown[0]!r}")
    weights, lineage = state["average"], list(state["lineage"])
    if wanted.blend is not None:
        weights = _mean(weights, _other(wanted.blend, state), wanted.share)
        lineage.append({"mean_with": wanted.blend.name, "share": wanted.share})
    network = SSDLite(NetworkSpec(**state["spec"]))
    network.load_state_dict(weights)
    if wanted.classes:
        network = select_classes(network, labels, wanted.classes)
        labels = list(wanted.classes)
        lineage.append({"classes": labels})
    spec = replace(network.spec, input_size=wanted.input_size or network.spec.input_size)
    save_checkpoint(
        out,
        {
            "spec": asdict(spec),
            "labels": labels,
            "average": network.state_dict(),
            "lineage": lineage,
        },
    )


def _other(path: Path, state: Mapping) -> Mapping[str, Tensor]:
    """Weights of the other side of the mean; layers that it lacks are the checkpoint's own."""
    if path.suffix == ".pt":
        other = load_checkpoint(path)
        if other["spec"] | {"input_size": 0} != state["spec"] | {"input_size": 0}:
            raise CheckpointError(f"{path}: is of another network ({other['spec']})")
        return other["average"]
    network = SSDLite(NetworkSpec(**state["spec"]))
    network.load_state_dict(state["average"])
    load_weights(network, read_weights(path), state["labels"])
    return network.state_dict()


def _mean(a: Mapping[str, Tensor], b: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    return {
        name: torch.lerp(value, b[name], share) if value.dtype.is_floating_point else value
        for name, value in a.items()
    }
