"""Training: photos and boxes to a float checkpoint.

The schedule is a list of phases, each an input size and a number of epochs: the early epochs run
on small inputs, where a CPU is fastest, and the last ones at the size that ships (M. Tan and
Q. Le, "EfficientNetV2", 2021, call it progressive learning).

Started by ``torchrun``, the processes share each batch; torch's own engine
(``DistributedDataParallel``) keeps them together.
"""

from __future__ import annotations

import copy
import ctypes
import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from deploy.data.dataset import Dataset
from deploy.data.samples import Samples, ShareOfSteps, collate, photo_inputs, to_input
from deploy.progress import Progress
from deploy.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from deploy.training.loss import DetectionLoss, LossSums, Targets
from deploy.training.network import NetworkSpec, SSDLite
from deploy.training.settings import LOWEST_RATE, TrainSettings
from deploy.training.teacher import DenseTeacher, Knowledge
from deploy.training.warmstart import known_labels, load_weights, read_weights

log = logging.getLogger(__name__)


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
    """Trains one network; its state can be saved at any step and resumed exactly."""

    kind = "float"

    def __init__(self, spec: NetworkSpec, settings: TrainSettings, out: Path) -> None:
        keep_freed_memory()
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.spec = spec
        self.settings = settings
        self.out = out
        self._join()
        self.network = self._build().to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.epoch = 0
        self.step = 0
        self.sums = np.zeros(2)
        self.lineage: list[dict] = []
        self.labels: list[str] = []
        self.teacher: DenseTeacher | None = None
        backbone, count = self.network.backbone, settings.frozen_blocks
        self.frozen = [backbone.stem, *backbone.blocks[:count]] if count else []
        for module in self.frozen:
            module.requires_grad_(False)
        if settings.only:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(name.startswith(settings.only))
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in self.trained if p.ndim > 1],
             "weight_decay": settings.weight_decay},
            {"params": [p for p in self.trained if p.ndim == 1], "weight_decay": 0.0},
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)

    def _build(self) -> SSDLite:
        """The network to train."""
        return SSDLite(self.spec)

    def _join(self) -> None:
        """Find this process's device, and its place among those that ``torchrun`` started."""
        cuda = torch.cuda.is_available()
        if distributed.is_torchelastic_launched() and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo")
        joined = distributed.is_initialized()
        self.rank = distributed.get_rank() if joined else 0
        self.world = distributed.get_world_size() if joined else 1
        self.device = torch.device("cuda", self.rank % torch.cuda.device_count()) if cuda else (
            torch.device("cpu")
        )  # fmt: skip
        if self.settings.batch % (self.world * self.settings.accumulate):
            raise ValueError(
                f"a batch of {self.settings.batch} cannot be cut into "
                f"{self.world * self.settings.accumulate} equal parts"
            )

    def warm_start(self, file: Path, name: str, lineage: list[dict], dataset: Dataset) -> None:
        """Load the weights of a trained model, as far as they fit.

        Args:
            file: see ``warmstart.read_weights``.
            name: what to call it in the lineage.
            lineage: how it was trained itself, as far as known.
            dataset: its classes are the network's; its photos set the statistics of the norms.
        """
        labels = [category.name for category in dataset.categories]
        weights = read_weights(file, known_labels(file))
        photos = None
        if self.spec.norms:
            photos = photo_inputs(dataset, 64, self.spec.input_size, self.settings.seed)
        loaded = load_weights(self.network, weights, labels, photos)
        log.info("%s: %s", file, loaded)
        self.average.load_state_dict(self.network.state_dict())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self.lineage = [*lineage, {"starts_from": name, "sha256": digest, "part": str(loaded)}]

    def learn_from(self, file: Path, name: str, dataset: Dataset, *, strict: bool = False) -> None:
        """Have a trained model teach densely, and draw the weights to its own.

        Args:
            file: see ``warmstart.read_weights``.
            name: what to call it in the lineage.
            dataset: its classes are the network's.
            strict: see ``DenseTeacher``.
        """
        labels = [category.name for category in dataset.categories]
        teacher = SSDLite(replace(self.spec, norms=False))
        loaded = load_weights(teacher, read_weights(file, known_labels(file)), labels)
        log.info("teacher %s: %s", file, loaded)
        self._teach(teacher, Knowledge.of(teacher, loaded, labels), strict)
        self.lineage = [*self.lineage, {"dense_teacher": name}]

    def _teach(self, network: SSDLite, knowledge: Knowledge, strict: bool) -> None:
        network.to(self.device, memory_format=torch.channels_last)
        self.teacher = DenseTeacher(network, knowledge, strict=strict)

    def resume(self, checkpoint: Path) -> None:
        """Continue a training exactly where it stopped.

        Raises:
            CheckpointError: it is damaged, of another network, or was trained otherwise.
        """
        state = load_checkpoint(checkpoint)
        if state["spec"] != asdict(self.spec):
            raise CheckpointError(f"{checkpoint}: is of another network ({state['spec']})")
        before, now = state["settings"], self.settings.outcome()
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            told = ", ".join(f"{n} {before.get(n)} (now {now[n]})" for n in changed)
            raise CheckpointError(
                f"{checkpoint}: was trained with {told}; resume with the same settings, or give "
                "another --out"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.sums = np.asarray(state["sums"])
        self.lineage = state["lineage"]
        if "teacher" in state:
            teacher = SSDLite(replace(self.spec, norms=False))
            teacher.load_state_dict(state["teacher"])
            self._teach(teacher, Knowledge(**state["knows"]), state.get("strict", False))

    def save(self) -> Path:
        """Write ``last.pt``."""
        path = self.out / "last.pt"
        if self.world > 1:
            # Each process has seen its own share of the batches; so have its norms.
            for module in (self.network, self.average):
                for buffer in module.buffers():
                    if buffer.dtype.is_floating_point:
                        distributed.all_reduce(buffer)
                        buffer.div_(self.world)
        if self.rank == 0:
            state = {
                "spec": asdict(self.spec),
                "settings": self.settings.outcome(),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "sums": self.sums.tolist(),
                "lineage": self.lineage,
                "labels": self.labels,
            }
            if self.teacher is not None:
                state["teacher"] = self.teacher.network.state_dict()
                state["knows"] = asdict(self.teacher.knowledge)
                state["strict"] = self.teacher.strict
            save_checkpoint(path, state)
        return path

    def run(self, dataset: Dataset) -> Path:
        """Train through all phases; a checkpoint and a line of ``loss.jsonl`` an epoch."""
        per_epoch = self.settings.steps_per_epoch(len(dataset.photos))
        total = sum(p.epochs for p in self.settings.phases) * per_epoch
        self.labels = [category.name for category in dataset.categories]
        if self.step == 0:
            told = {**self.settings.outcome(), "photos": len(dataset.photos)}
            self.lineage = [*self.lineage, {"training": self.kind, **told}]
        end = 0
        samples = Samples(dataset, self.settings.seed, self.settings.mosaic)
        model: nn.Module = self.network
        if self.world > 1:
            model = DistributedDataParallel(self.network, broadcast_buffers=False)
        shown = Progress("training", total, self.step) if self.rank == 0 else None
        for phase in self.settings.phases:
            end += phase.epochs
            anchors = self.spec.anchors(phase.input_size)
            criterion = DetectionLoss(anchors, self.spec.classes, self.device)
            samples.size = phase.input_size
            while self.epoch < end:
                self._epoch(model, samples, criterion, (per_epoch, total), shown)
        if shown is not None:
            shown.close()
        return self.out / "last.pt"

    def _epoch(
        self,
        model: nn.Module,
        samples: Samples,
        criterion: DetectionLoss,
        steps: tuple[int, int],
        shown: Progress | None,
    ) -> None:
        """The rest of the present epoch; ``steps`` are those of an epoch, and of all."""
        per_epoch, total = steps
        started = saved = time.monotonic()
        model.train()
        for module in self.frozen:
            module.eval()
        batches = iter(self._batches(samples, per_epoch))
        first = self.epoch * per_epoch
        for _ in range(self.step - first, per_epoch):
            self.sums += self._step(model, batches, criterion, self._rate(total))
            mean = self.sums / (self.step - first)
            if shown is not None:
                shown.reached(self.step, f"class {mean[0]:.3f} box {mean[1]:.3f}")
            if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes and (
                self.world == 1
            ):
                self.save()
                saved = time.monotonic()
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            "input_size": samples.size,
            "class_loss": round(self.sums[0] / per_epoch, 5),
            "box_loss": round(self.sums[1] / per_epoch, 5),
            "seconds": round(time.monotonic() - started, 1),
        }
        self.sums = np.zeros(2)
        if self.rank == 0:
            with (self.out / "loss.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        self.save()

    def _batches(self, samples: Samples, per_epoch: int) -> DataLoader[tuple[Tensor, list]]:
        """The micro-batches of this process, from the present step to the end of the epoch."""
        settings = self.settings
        share = ShareOfSteps(
            range(self.step, (self.epoch + 1) * per_epoch),
            settings.batch,
            rank=self.rank,
            world=self.world,
            rounds=settings.accumulate,
        )
        return DataLoader(
            samples,
            batch_sampler=share,
            num_workers=settings.workers,
            collate_fn=collate,
            prefetch_factor=4 if settings.workers else None,
        )

    def _step(
        self, model: nn.Module, batches: Iterator, criterion: DetectionLoss, rate: float
    ) -> np.ndarray:
        """One update; its classification and box loss per object anchor, over all processes."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        rounds = self.settings.accumulate
        totals = torch.zeros(3, device=self.device)
        for index in range(rounds):
            images, targets = next(batches)
            moved = [Targets(*(v.to(self.device) for v in vars(t).values())) for t in targets]
            wait = self.world > 1 and index < rounds - 1
            with model.no_sync() if wait else nullcontext():
                sums = self._losses(model, to_input(images.to(self.device)), moved, criterion)
                (sums.classes + sums.boxes).backward()
            totals += torch.stack([sums.classes, sums.boxes, sums.objects]).detach()
        if self.world > 1:
            distributed.all_reduce(totals)
        # The loss is per object anchor of the whole batch, which is known only now.
        objects = totals[2].clamp(min=1)
        for parameter in self.trained:
            if parameter.grad is not None:
                parameter.grad.mul_(self.world / objects)
        nn.utils.clip_grad_norm_(self.trained, 10.0)
        self.optimizer.step()
        if self.teacher is not None and self.settings.pull:
            self.teacher.draw(self.network, rate * self.settings.pull)
        self.step += 1
        self._update_average()
        return (totals[:2] / objects).cpu().numpy()

    def _losses(
        self, model: nn.Module, inputs: Tensor, targets: list[Targets], criterion: DetectionLoss
    ) -> LossSums:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            logits, coded = model(inputs)
        logits = logits.float()
        sums = criterion(logits, coded.float(), targets)
        if self.teacher is None:
            return sums
        distance = self.teacher.distance(inputs, logits, criterion.level_lengths)
        return sums._replace(classes=sums.classes + self.settings.teacher_weight * distance)

    def _rate(self, total: int) -> float:
        warmup = max(1, min(self.settings.warmup_steps, total // 10))
        warm = min(1.0, (self.step + 1) / warmup)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / total)))
        return self.settings.learning_rate * warm * max(LOWEST_RATE, fall)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])
