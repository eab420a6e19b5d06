"""Start from the weights of a trained network: what fits is taken, what is new is said.

Four kinds of files: COCO's SSDLite-MobileNetV2 as an archive of its float tensors, a checkpoint or
a quantized file of this very network, and a quantized ImageNet MobileNetV2 (its backbone).
Layers are matched by name, or by the order of execution where a file has other names, and are taken
where their shapes agree; the last layers of the class heads are taken class by class, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import Tensor, nn

from deploy.data.coco_classes import COCO_IDS
from deploy.training.checkpoint import labels as labels_of
from deploy.training.checkpoint import load_network
from deploy.training.network import ConvNorm, NetworkSpec, SSDLite
from pi_detector.detector.anchors import make_anchors

Layer = tuple[np.ndarray, np.ndarray]
"""Weights (outputs, inputs, rows, columns) and bias, with any norm folded into them."""

_OUR_WEIGHTS = re.compile(r"((?:backbone|last|lateral|smooth|extra|classify|regress)\b.*)\.weights")
_COCO_SIZE = 300
_COCO_NORM_EPSILON = 1e-3
_COCO_VARIANCE = 0.1


class WarmStartError(ValueError):
    """A file whose weights do not fit the network."""


@dataclass(frozen=True)
class Weights:
    """Weights of a trained network.

    Attributes:
        layers: by the names that the layers have in ``SSDLite``.
        labels: the classes of the class heads, in the order of their outputs.
    """

    layers: Mapping[str, Layer]
    labels: Sequence[str] = ()


@dataclass
class Loaded:
    """What a warm start did.

    Attributes:
        taken: number of layers that were taken.
        new: names of the layers that begin with random weights.
        new_labels: classes that begin with random weights.
    """

    taken: int = 0
    new: list[str] = field(default_factory=list)
    new_labels: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = sorted({name.split(".")[0] for name in self.new})
        text = f"{self.taken} layers taken"
        if parts:
            text += f", {len(self.new)} new ({', '.join(parts)})"
        if self.new_labels:
            text += f"; new classes: {', '.join(self.new_labels)}"
        return text


def read_weights(path: Path, labels: Sequence[str] = ()) -> Weights:
    """Read the weights of a file.

    Args:
        path: ``.npz`` with the tensors of COCO's SSDLite-MobileNetV2, a checkpoint of this network
            (``.pt``), or a quantized ``.tflite``.
        labels: classes of a ``.tflite`` of this network, in the order of its outputs.

    Raises:
        WarmStartError: it is neither.
    """
    try:
        if path.suffix == ".pt":
            return _checkpoint_weights(path)
        return _coco_weights(path) if path.suffix == ".npz" else _tflite_weights(path, labels)
    except (OSError, ValueError, KeyError) as error:
        raise WarmStartError(f"{path}: no weights to start from ({error})") from error


def known_labels(file: Path) -> list[str]:
    """The classes of a model file, of the labels file beside it; empty where there is none."""
    labels = file.with_name("labels.txt")
    return labels.read_text("utf-8").splitlines() if labels.exists() else []


def load_weights(
    network: SSDLite, weights: Weights, labels: Sequence[str], photos: Tensor | None = None
) -> Loaded:
    """Load into a network what fits.

    Args:
        network: changed in place.
        weights: of the trained network.
        labels: classes of ``network``, in the order of its outputs.
        photos: (B, 3, H, W) network inputs that set the statistics of the norms; needed where the
            network has norms.

    Raises:
        WarmStartError: not even the backbone fits.
    """
    loaded = Loaded()
    biases: dict[nn.BatchNorm2d, Tensor] = {}
    for name, module in network.named_modules():
        if not isinstance(module, ConvNorm) and not name.endswith(".predict"):
            continue
        conv = module.conv if isinstance(module, ConvNorm) else module
        layer = weights.layers.get(name)
        if layer is not None and name.startswith("classify.") and name.endswith(".predict"):
            layer = _by_class(layer, conv, weights.labels, labels)
        if layer is None or layer[0].shape != tuple(conv.weight.shape):
            loaded.new.append(name)
            continue
        loaded.taken += 1
        weight, bias = (torch.from_numpy(np.ascontiguousarray(v, np.float32)) for v in layer)
        with torch.no_grad():
            conv.weight.copy_(weight)
            norm = module.norm if isinstance(module, ConvNorm) else None
            if norm is None:
                conv.bias.copy_(bias)
            else:
                biases[norm] = bias
    if "backbone.stem" in loaded.new:
        raise WarmStartError("the backbone does not fit; use a file of the same width")
    if any(name.startswith("classify.") for name in loaded.new) and not weights.labels:
        loaded.new_labels = list(labels)
    else:
        loaded.new_labels = [label for label in labels if label not in weights.labels]
    if biases:
        assert photos is not None, "norms need statistics"
        restore_norms(network, biases, photos)
    return loaded


def _by_class(
    layer: Layer, conv: nn.Conv2d, known: Sequence[str], wanted: Sequence[str]
) -> Layer | None:
    """The last layer of a class head for other classes; new ones keep what ``conv`` has."""
    if not known:
        return None
    weight, bias = (v.reshape(-1, len(known), *v.shape[1:]) for v in layer)
    counts = len(weight), len(wanted)
    if conv.out_channels != counts[0] * counts[1] or weight.shape[2] != conv.in_channels:
        return None
    new_weight = conv.weight.detach().numpy().reshape(*counts, *conv.weight.shape[1:]).copy()
    new_bias = conv.bias.detach().numpy().reshape(counts).copy()
    for column, label in enumerate(wanted):
        if label in known:
            new_weight[:, column] = weight[:, list(known).index(label)]
            new_bias[:, column] = bias[:, list(known).index(label)]
    return new_weight.reshape(conv.weight.shape), new_bias.reshape(-1)


def select_classes(network: SSDLite, labels: Sequence[str], wanted: Sequence[str]) -> SSDLite:
    """The same network for some of its classes.

    Args:
        network: a trained one.
        labels: its classes, in the order of its outputs.
        wanted: those to keep, in their new order.
    """
    spec = NetworkSpec(**{**vars(network.spec), "classes": len(wanted)})
    smaller = SSDLite(spec)
    state = network.state_dict()
    for name, module in network.named_modules():
        if name.startswith("classify.") and name.endswith(".predict"):
            layer = (module.weight.detach().numpy(), module.bias.detach().numpy())
            kept = _by_class(layer, smaller.get_submodule(name), labels, wanted)
            assert kept is not None, "the classes are the network's"
            state |= {f"{name}.weight": torch.from_numpy(kept[0])}
            state |= {f"{name}.bias": torch.from_numpy(kept[1])}
    smaller.load_state_dict(state)
    return smaller.train(network.training)


def _checkpoint_weights(path: Path) -> Weights:
    network = load_network(path)
    layers: dict[str, Layer] = {}
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm):
            weight, bias = module.folded()
        elif name.endswith(".predict"):
            weight, bias = module.weight, module.bias
        else:
            continue
        layers[name] = (weight.detach().numpy(), bias.detach().numpy())
    return Weights(layers, labels_of(path))


def _coco_weights(path: Path) -> Weights:
    """COCO's network under the names of ours; its anchors and its input range become ours."""
    with np.load(path) as archive:
        tensors = {name.replace("|", "/"): archive[name] for name in archive.files}
    layers: dict[str, Layer] = {}
    root = "FeatureExtractor/MobilenetV2"
    weight, bias = _coco_folded(tensors, f"{root}/Conv")
    # From bytes as byte / 127.5 - 1 to bytes as byte / 128 - 1.
    layers["backbone.stem"] = (weight * 256 / 255, bias + weight.sum((1, 2, 3)) / 255)
    for number in range(17):
        block = f"{root}/expanded_conv" + (f"_{number}" if number else "")
        for part, ours in (("expand", "expand"), ("depthwise", "filter"), ("project", "project")):
            if number or part != "expand":
                name = f"backbone.blocks.{number}.{ours}"
                layers[name] = _coco_folded(tensors, f"{block}/{part}")
    layers["last"] = _coco_folded(tensors, f"{root}/Conv_1")
    for number, (inner, outer) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128))):
        deep = f"layer_19_2_Conv2d_{number + 2}_3x3_s2_{outer}"
        names = (f"layer_19_1_Conv2d_{number + 2}_1x1_{inner}", f"{deep}_depthwise", deep)
        for index, name in enumerate(names):
            layers[f"extra.{number}.{index}"] = _coco_folded(tensors, f"{root}/{name}")
    shifts = _anchor_shifts(tensors["Postprocessor/ExpandDims"].reshape(-1, 4) * _COCO_SIZE)
    for number, shift in enumerate(shifts):
        for kind, ours in (("Class", "classify"), ("BoxEncoding", "regress")):
            box = f"BoxPredictor_{number}/{kind}Predictor"
            layers[f"{ours}.{number + 1}.filter"] = _coco_normed(tensors, f"{box}_depthwise")
            weight = tensors[f"{box}/weights"].transpose(3, 2, 0, 1)
            bias = tensors[f"{box}/biases"]
            if kind == "Class":
                columns = list(COCO_IDS.values())
                shape = (-1, 91, *weight.shape[1:])
                weight = weight.reshape(shape)[:, columns].reshape(-1, *weight.shape[1:])
                bias = bias.reshape(-1, 91)[:, columns].reshape(-1)
            else:
                # From y, x, height, width to x, y, width, height.
                order = [1, 0, 3, 2]
                weight = weight.reshape(-1, 4, *weight.shape[1:])[:, order].reshape(weight.shape)
                bias = (bias.reshape(-1, 4)[:, order] + shift).reshape(-1)
            layers[f"{ours}.{number + 1}.predict"] = (weight, bias)
    return Weights(layers, tuple(COCO_IDS))


def _coco_folded(tensors: Mapping[str, np.ndarray], name: str) -> Layer:
    """A convolution whose norm is folded, wholly or as a factor and a summand beside it."""
    if f"{name}/depthwise_weights" in tensors or f"{name}/depthwise/depthwise_weights" in tensors:
        key = f"{name}/depthwise_weights"
        weight = tensors[key] if key in tensors else tensors[f"{name}/depthwise/depthwise_weights"]
        weight = weight.transpose(2, 3, 0, 1)
    else:
        weight = tensors[f"{name}/Conv2D/merged_input"].transpose(3, 2, 0, 1)
    factor = tensors.get(f"{name}/BatchNorm/batchnorm/mul")
    if factor is not None:
        weight = weight * factor[:, None, None, None]
    return weight, tensors[f"{name}/BatchNorm/batchnorm/sub"]


def _coco_normed(tensors: Mapping[str, np.ndarray], name: str) -> Layer:
    """A depthwise convolution with its norm beside it."""
    weight = tensors[f"{name}/depthwise_weights"].transpose(2, 3, 0, 1)
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = (tensors[f"{name}/BatchNorm/{part}"] for part in parts)
    gain = gamma / np.sqrt(variance + _COCO_NORM_EPSILON)
    return weight * gain[:, None, None, None], beta - mean * gain


def _anchor_shifts(corners: np.ndarray) -> list[np.ndarray]:
    """For each map of COCO's network, what is added to its coded boxes for our anchors.

    Its anchors lie in the middle of equal cells, ours where the convolutions look. What differs
    on the average over a map is mended here; the rest, a few pixels, is left to training.

    Returns:
        (anchors of a location, 4) summands a map.
    """
    spec = NetworkSpec(1).anchors(_COCO_SIZE)
    ours = make_anchors(spec)
    sizes = list(zip(spec.map_sizes, spec.per_location, strict=True))
    start = sizes[0][0][0] * sizes[0][0][1] * sizes[0][1]
    assert len(ours) - start == len(corners), "the same maps, behind the finest"
    theirs = np.stack([corners[:, 1] + corners[:, 3], corners[:, 0] + corners[:, 2]], 1) / 2
    shift = (theirs - ours[start:, :2]) / (_COCO_VARIANCE * ours[start:, 2:])
    shifts, row = [], 0
    for (rows, columns), count in sizes[1:]:
        part = shift[row : row + rows * columns * count].reshape(-1, count, 2).mean(0)
        shifts.append(np.concatenate([part, np.zeros_like(part)], 1))
        row += rows * columns * count
    return shifts


def _tflite_weights(path: Path, labels: Sequence[str]) -> Weights:
    """Weights of a quantized file, dequantized: of this network by name, else by their order."""
    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}

    def real(index: int) -> np.ndarray:
        q = details[index]["quantization_parameters"]
        shape = [1] * len(details[index]["shape"])
        if len(q["scales"]) > 1:
            shape[q["quantized_dimension"]] = -1
        value = interpreter.get_tensor(index).astype(np.float32)
        if not len(q["scales"]):
            return value
        zero = q["zero_points"].astype(np.float32).reshape(shape)
        return (value - zero) * q["scales"].astype(np.float32).reshape(shape)

    found: dict[str, Layer] = {}
    ordered: list[Layer] = []
    for operator in interpreter._get_ops_details():
        if operator["op_name"] not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            continue
        weight, bias = operator["inputs"][1:3]
        order = (3, 0, 1, 2) if operator["op_name"] == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        layer = (real(weight).transpose(order), real(bias))
        ordered.append(layer)
        if named := _OUR_WEIGHTS.fullmatch(details[weight]["name"]):
            found[named[1]] = layer
    if found:
        return Weights(found, labels)
    names = [n for n, m in SSDLite(NetworkSpec(1)).named_modules() if isinstance(m, ConvNorm)]
    names = [name for name in names if re.match(r"backbone\.|last$", name)]
    if len(ordered) < len(names):
        raise WarmStartError(f"{len(ordered)} convolutions, {len(names)} needed")
    return Weights(dict(zip(names, ordered, strict=False)))


@torch.no_grad()
def restore_norms(network: SSDLite, biases: dict[nn.BatchNorm2d, Tensor], photos: Tensor) -> None:
    """Set each norm so that it adds its bias and changes nothing else, on these photos."""

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + biases[norm])

    hooks = [norm.register_forward_pre_hook(measure) for norm in biases]
    training = network.training
    network.eval()
    network(photos)
    network.train(training)
    for hook in hooks:
        hook.remove()
