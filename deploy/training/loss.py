"""Which anchor answers for which object, and what a wrong answer costs.

Assignment: S. Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection via
Adaptive Training Sample Selection" (ATSS), 2020. Classification: the quality focal loss of X. Li et
al., "Generalized Focal Loss", 2020: a per-class sigmoid whose target is the IoU of the predicted
box, so that a score ranks boxes by how well they fit. Boxes: H. Rezatofighi et al., "Generalized
Intersection over Union", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pi_detector.detector.anchors import MAX_LOG_SIZE, AnchorSpec, make_anchors

CANDIDATES_PER_LEVEL = 9
BOX_WEIGHT = 2.0
FOCUS = 2.0


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of each of (N, 4) with each of (M, 4) ``xyxy`` boxes: (N, M)."""
    corner = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (corner - torch.maximum(a[:, None, :2], b[None, :, :2])).clamp(min=0)
    inter = sides.prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return inter / (area_a[:, None] + area_b[None] - inter).clamp(min=1e-6)


def generalized_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU of (N, 4) boxes with their (N, 4) partners."""
    corner = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    inter = corner.clamp(min=0).prod(-1)
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - inter
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


@dataclass(frozen=True)
class Targets:
    """Ground truth of one sample, as tensors; see ``augment.Sample``."""

    xyxy: Tensor
    classes: Tensor
    ignored: Tensor
    regions: Tensor
    known: Tensor


class LossSums(NamedTuple):
    """Losses summed over a batch, and the number of object anchors to divide them by."""

    classes: Tensor
    boxes: Tensor
    objects: Tensor


class DetectionLoss:
    """Loss of a batch, for the anchors of one network."""

    def __init__(self, spec: AnchorSpec, classes: int, device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.anchors = torch.from_numpy(make_anchors(spec)).to(device)
        half = self.anchors[:, 2:] / 2
        self.corners = torch.cat([self.anchors[:, :2] - half, self.anchors[:, :2] + half], 1)
        self.variances = torch.tensor(spec.variances, device=device)
        sizes = zip(spec.map_sizes, spec.per_location, strict=True)
        self.level_lengths = [rows * columns * count for (rows, columns), count in sizes]
        self.candidates = [CANDIDATES_PER_LEVEL * count for count in spec.per_location]

    def decode(self, coded: Tensor, anchors: Tensor) -> Tensor:
        """The differentiable twin of ``anchors.decode_boxes``."""
        scaled = coded * self.variances
        centre = anchors[:, :2] + scaled[:, :2] * anchors[:, 2:]
        half = 0.5 * anchors[:, 2:] * scaled[:, 2:].clamp(-MAX_LOG_SIZE, MAX_LOG_SIZE).exp()
        return torch.cat([centre - half, centre + half], 1)

    @torch.no_grad()
    def assign(self, xyxy: Tensor) -> Tensor:
        """ATSS: for each anchor the index of its object, or -1.

        An object that no anchor fits well enough gets its best anchor (SSD's bipartite match).
        """
        assigned = torch.full((len(self.anchors),), -1, device=xyxy.device)
        if not len(xyxy):
            return assigned
        iou = pairwise_iou(xyxy, self.corners)
        centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
        distance = torch.cdist(centre, self.anchors[:, :2])
        picked, start = [], 0
        for length, count in zip(self.level_lengths, self.candidates, strict=True):
            level = distance[:, start : start + length]
            nearest = level.topk(min(count, length), largest=False).indices
            picked.append(nearest + start)
            start += length
        candidates = torch.cat(picked, 1)
        overlaps = iou.gather(1, candidates)
        threshold = overlaps.mean(1) + overlaps.std(1)
        points = self.anchors[candidates, :2]
        inside = ((points > xyxy[:, None, :2]) & (points < xyxy[:, None, 2:])).all(-1)
        good = (overlaps >= threshold[:, None]) & inside
        score = torch.full_like(iou, -1.0)
        score.scatter_(1, candidates, torch.where(good, overlaps, -1.0))
        best_iou, best_object = score.max(0)
        assigned = torch.where(best_iou >= 0, best_object, assigned)
        lonely = (~good.any(1)).nonzero().flatten()
        assigned[iou[lonely].argmax(1)] = lonely
        return assigned

    @torch.no_grad()
    def known_mask(self, targets: Targets) -> Tensor:
        """(N, classes): 1 where an anchor's class is annotated, 0 where it is unknown."""
        points = self.anchors[:, :2]
        known = torch.zeros(len(points), self.classes, device=points.device)
        for region, classes in zip(targets.regions, targets.known, strict=True):
            known[((points >= region[:2]) & (points <= region[2:])).all(-1)] = classes.float()
        for box, label in zip(
            targets.xyxy[targets.ignored], targets.classes[targets.ignored], strict=True
        ):
            known[((points >= box[:2] - 4) & (points <= box[2:] + 4)).all(-1), label] = 0
        return known

    def __call__(self, logits: Tensor, coded: Tensor, batch: list[Targets]) -> LossSums:
        """Classification and box loss of a batch, and its object anchors.

        Args:
            logits: (B, N, classes) float32.
            coded: (B, N, 4) float32.
            batch: B ground truths.
        """
        class_loss = logits.new_zeros(())
        box_loss = logits.new_zeros(())
        positives = 0
        for scores, offsets, targets in zip(logits, coded, batch, strict=True):
            objects = targets.xyxy[~targets.ignored]
            labels = targets.classes[~targets.ignored]
            assigned = self.assign(objects)
            positive = (assigned >= 0).nonzero().flatten()
            known = self.known_mask(targets)
            quality = torch.zeros_like(scores)
            if len(positive):
                partner = assigned[positive]
                decoded = self.decode(offsets[positive], self.anchors[positive])
                iou, giou = generalized_iou(decoded, objects[partner])
                box_loss = box_loss + (1 - giou).sum()
                quality[positive, labels[partner]] = iou.detach().clamp(min=0)
                # An annotated object is of no other class, whether those are annotated or not.
                known[positive] = 1.0
                positives += len(positive)
            cross_entropy = functional.binary_cross_entropy_with_logits(
                scores, quality, reduction="none"
            )
            focus = (scores.sigmoid() - quality).abs().pow(FOCUS)
            class_loss = class_loss + (cross_entropy * focus * known).sum()
        return LossSums(class_loss, BOX_WEIGHT * box_loss, logits.new_tensor(positives))
