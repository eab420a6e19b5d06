"""A trained network that says of every anchor what it knows, so that it is not forgotten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deploy.training.network import SSDLite
from deploy.training.warmstart import Loaded


def imitation(logits: Tensor, taught: Tensor) -> Tensor:
    """Distance of logits to a teacher's scores.

    G. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015. Weighted by the
    teacher's scores, the sum is of the order of the number of objects, as those of the losses are.
    """
    return (taught * (logits.sigmoid() - taught).square()).sum()


@dataclass(frozen=True)
class Knowledge:
    """What a teacher knows, as plain values.

    Attributes:
        classes: for each class of the network, whether the teacher knows it.
        layers: names of the layers that it has weights for.
    """

    classes: Sequence[bool]
    layers: Sequence[str]

    @classmethod
    def of(cls, teacher: SSDLite, loaded: Loaded, labels: Sequence[str]) -> Knowledge:
        """That of a network into which weights were loaded."""
        classes = [label not in loaded.new_labels for label in labels]
        layers = [name for name, _ in teacher.named_modules() if name not in loaded.new]
        return cls(classes, layers)


class DenseTeacher:
    """Compares a network with the teacher, and draws its weights to the teacher's.

    Args:
        network: the teacher; of the same anchors.
        knowledge: what it knows.
        strict: whether scores above the teacher's cost as well: for classes that no photo has
            annotated, which nothing else holds down.
    """

    def __init__(self, network: SSDLite, knowledge: Knowledge, *, strict: bool = False) -> None:
        self.network = network.eval().requires_grad_(False)
        self.knowledge = knowledge
        self.strict = strict
        # The finest map is new beside the weights of a network that had none.
        self._first_map = 0 if "classify.0.predict" in knowledge.layers else 1

    def distance(self, inputs: Tensor, logits: Tensor, level_lengths: Sequence[int]) -> Tensor:
        """How far logits are from what the teacher says.

        Args:
            inputs: (B, 3, H, W) of both networks.
            logits: (B, N, classes) of the one that learns.
            level_lengths: anchors of each map.
        """
        start = sum(level_lengths[: self._first_map])
        known = torch.tensor(self.knowledge.classes, device=logits.device)
        with torch.no_grad(), torch.autocast(inputs.device.type, torch.bfloat16):
            taught = self.network(inputs)[0][:, start:].float().sigmoid()
        ours, taught = logits[:, start:][..., known], taught[..., known]
        if not self.strict:
            return imitation(ours, taught)
        scores = ours.sigmoid()
        return (torch.maximum(taught, scores.detach()) * (scores - taught).square()).sum()

    @torch.no_grad()
    def draw(self, network: SSDLite, share: float) -> None:
        """Draw the weights that both have towards the teacher's by a share of the difference."""
        theirs = dict(self.network.named_parameters())
        for name, parameter in network.named_parameters():
            layer = re.sub(r"(\.conv|\.norm)?\.(weight|bias)$", "", name)
            if name in theirs and parameter.requires_grad and layer in self.knowledge.layers:
                parameter.lerp_(theirs[name], share)
