"""Quantization-aware training: a float network learns to live with eight bits.

B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018. Every convolution rounds its weights, with its batch norm folded into them, to
INT8 per channel, and every activation is rounded as the device rounds it, so that the loss is the
quantized network's; the gradient passes through the rounding where nothing is clipped (Y. Bengio et
al., "straight-through estimator", 2013). Scales and zero points of the activations are those of a
file that was quantized by calibration, so that what is trained and what is written agree. The
statistics of the norms are frozen.

The float network is the teacher (G. Hinton et al., "Distilling the Knowledge in a Neural Network",
2015): it says of every anchor what the annotations say of few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn
from torch.nn import functional

from deploy.data.dataset import Dataset
from deploy.quantization.calibrate import calibration_inputs
from deploy.quantization.export import Graph, export_float
from deploy.quantization.layers import layers
from deploy.quantization.quantize import QuantizationError, quantize, read_network
from deploy.quantization.recipes import Recipe
from deploy.training.checkpoint import load_checkpoint, load_network
from deploy.training.loss import DetectionLoss, LossSums, Targets
from deploy.training.network import ConvNorm, InvertedResidual, SSDLite, enlarge
from deploy.training.settings import TrainSettings
from deploy.training.teacher import imitation
from deploy.training.train import Trainer

TEACHER_WEIGHT = 1.0

Scales = dict[str, tuple[float, int]]
"""Scale and zero point of a layer's output, by the layer's name."""


def activation_scales(quantized: Path) -> Scales:
    """Scales and zero points of an INT8 file of our network.

    Raises:
        QuantizationError: the file is not one, or has layers in float.
    """
    graph = Graph(read_network(quantized))
    scales = {}
    for layer in layers(graph):
        tensor = graph.subgraph.tensors[layer.output]
        if tensor.type != schema.TensorType.INT8:
            raise QuantizationError(f"{quantized}: layer {layer.name} is not INT8")
        scales[layer.name] = (
            float(tensor.quantization.scale[0]),
            int(tensor.quantization.zeroPoint[0]),
        )
    return scales


def ranges(scales: Scales) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each layer's output that INT8 can tell."""
    return {
        name: ((-128 - zero) * scale, (127 - zero) * scale)
        for name, (scale, zero) in scales.items()
    }


class Rounding(nn.Module):
    """Rounds an activation as INT8 with a fixed scale and zero point does."""

    def __init__(self, scale: float, zero_point: int) -> None:
        super().__init__()
        self.scale = scale
        self.zero_point = zero_point

    def forward(self, x: Tensor) -> Tensor:
        """Values that INT8 can tell, in the shape of ``x``."""
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, -128, 127)


def rounded_weights(weight: Tensor) -> Tensor:
    """Weights (outputs first) as symmetric INT8 with a scale for each output channel."""
    with torch.no_grad():
        largest = weight.abs().flatten(1).amax(1)
        scale = torch.where(largest > 0, largest, 1.0) / 127
        zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class RoundedConvNorm(ConvNorm):
    """``ConvNorm`` with frozen statistics, its folded weights and its output rounded."""

    def __init__(self, layer: ConvNorm, rounding: Rounding) -> None:
        nn.Module.__init__(self)
        self.conv, self.norm, self.linear = layer.conv, layer.norm, layer.linear
        self.rounding = rounding

    def filtered(self, x: Tensor, stride: int, padding: int) -> Tensor:
        """The convolution with the norm folded into its weights."""
        weight, bias = self.folded()
        return self.convolved(x, rounded_weights(weight), bias, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """As ``ConvNorm``'s, rounded."""
        return self.rounding(super().forward(x))


class RoundedConv(nn.Conv2d):
    """The last convolution of a head, its weights and its output rounded."""

    def __init__(self, layer: nn.Conv2d, rounding: Rounding) -> None:
        super().__init__(layer.in_channels, layer.out_channels, 1)
        self.weight, self.bias = layer.weight, layer.bias
        self.rounding = rounding

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Conv2d``'s, rounded."""
        return self.rounding(functional.conv2d(x, rounded_weights(self.weight), self.bias))


class RoundedNetwork(SSDLite):
    """The network as INT8 computes it; its state is that of the float network."""

    def __init__(self, network: SSDLite, scales: Mapping[str, tuple[float, int]]) -> None:
        super().__init__(network.spec)
        self.load_state_dict(network.state_dict())
        self.joints = nn.ModuleDict()
        for name, module in list(self.named_modules()):
            if isinstance(module, ConvNorm):
                self._replace(name, RoundedConvNorm(module, Rounding(*scales[name])))
            elif isinstance(module, nn.Conv2d) and name.endswith(".predict"):
                self._replace(name, RoundedConv(module, Rounding(*scales[name])))
            elif isinstance(module, InvertedResidual) and module.residual:
                module.register_forward_hook(_round_sum(Rounding(*scales[f"{name}.add"])))
        for level in (0, 1):
            for part in ("resize", "add"):
                name = f"fuse.{level}.{part}"
                self.joints[name.replace(".", "_")] = Rounding(*scales[name])

    def _replace(self, name: str, module: nn.Module) -> None:
        parent, _, child = name.rpartition(".")
        setattr(self.get_submodule(parent), child, module)

    def fuse(self, level: int, fine: Tensor, coarse: Tensor) -> Tensor:
        """As the float network's, rounded."""
        above = self.joints[f"fuse_{level}_resize"](enlarge(coarse, fine))
        return self.joints[f"fuse_{level}_add"](fine + above)


def _round_sum(rounding: Rounding) -> Callable[..., tuple[Tensor, Tensor]]:
    """A forward hook that rounds the first output of a block: the sum with its input."""

    def hook(*call: object) -> tuple[Tensor, Tensor]:
        total, expanded = call[-1]
        return rounding(total), expanded

    return hook


class QatTrainer(Trainer):
    """Fine-tunes the network of a checkpoint for INT8; the result is a float checkpoint again."""

    kind = "quantization-aware"

    def __init__(self, start: Path, scales: Scales, settings: TrainSettings, out: Path) -> None:
        self.float_network = load_network(start)
        self.scales = scales
        super().__init__(self.float_network.spec, settings, out)
        self.float_network.to(self.device, memory_format=torch.channels_last).requires_grad_(False)
        self.lineage = load_checkpoint(start).get("lineage", [])

    def _build(self) -> SSDLite:
        return RoundedNetwork(self.float_network, self.scales)

    def _losses(
        self, model: nn.Module, inputs: Tensor, targets: list[Targets], criterion: DetectionLoss
    ) -> LossSums:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            logits, coded = (v.float() for v in model(inputs))
            with torch.no_grad():
                taught_logits, taught_coded = (v.float() for v in self.float_network(inputs))
        sums = criterion(logits, coded, targets)
        taught = taught_logits.sigmoid()
        classes = imitation(logits, taught)
        boxes = (taught.amax(-1, keepdim=True) * (coded - taught_coded).abs()).sum()
        return LossSums(
            sums.classes + TEACHER_WEIGHT * classes,
            sums.boxes + TEACHER_WEIGHT * 0.1 * boxes,
            sums.objects,
        )


def train_quantized(
    checkpoint: Path, recipe: Recipe, dataset: Dataset, settings: TrainSettings, out: Path
) -> Path:
    """Calibrate, fine-tune and quantize the network of a checkpoint.

    Args:
        checkpoint: of a float network.
        recipe: with a table ``qat``; ``settings`` must hold what it says.
        dataset: photos to train on and to calibrate with.
        settings: of the training.
        out: folder for checkpoints, losses and the two files.

    Returns:
        The INT8 file, ``int8.tflite``; ``float32.tflite`` lies beside it.
    """
    size = load_network(checkpoint).spec.input_size

    def write(network: SSDLite, name: str, ranges: Mapping[str, tuple[float, float]]) -> Path:
        export_float(network, out / "float32.tflite")
        inputs = calibration_inputs(dataset.photos, size, recipe.calibration)
        quantize(out / "float32.tflite", recipe, inputs, out / name, ranges)
        return out / name

    calibrated = out / "calibrated.tflite"
    if not calibrated.exists():
        write(load_network(checkpoint), calibrated.name, {})
    scales = activation_scales(calibrated)
    trainer = QatTrainer(checkpoint, scales, settings, out)
    if (out / "last.pt").exists():
        trainer.resume(out / "last.pt")
    trained = trainer.run(dataset)
    return write(load_network(trained), "int8.tflite", ranges(scales))
