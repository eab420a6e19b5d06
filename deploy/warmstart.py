"""Start from the weights of a quantized file: an ImageNet MobileNetV2, or this very network.

The weights are dequantized and loaded in the order of execution. Their batch norm is folded into
them; ``restore_norms`` puts a batch norm back that is, at first, the identity on real photos, so
that training starts from the pretrained function and can still use batch statistics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import Tensor, nn

from deploy.network import ConvNorm, SSDLite


class WarmStartError(ValueError):
    """A file whose weights do not fit the network."""


def load_weights(network: SSDLite, tflite: Path, photos: Tensor) -> str:
    """Load a file of this network into all of it, or one of a classifier into its backbone.

    Args:
        network: changed in place.
        tflite: a quantized model of the same width: a detector that was built here, whose classes
            are the same, or an ImageNet MobileNetV2.
        photos: (B, 3, H, W) network inputs that set the batch statistics.

    Returns:
        What was loaded: "the whole network" or "the backbone".

    Raises:
        WarmStartError: the file's layers do not fit.
    """
    weights = _convolutions(tflite)
    layers = _layers(network)
    part = "the whole network"
    if len(weights) != len(layers):
        layers, part = _layers(network.backbone), "the backbone"
    if len(weights) < len(layers):
        raise WarmStartError(f"{tflite}: {len(weights)} convolutions, {len(layers)} needed")
    biases = {}
    for number, (layer, (weight, bias)) in enumerate(zip(layers, weights, strict=False)):
        conv = layer.conv if isinstance(layer, ConvNorm) else layer
        order = (3, 0, 1, 2) if conv.groups > 1 else (0, 3, 1, 2)
        kernel = np.ascontiguousarray(weight.transpose(order))
        if kernel.shape != tuple(conv.weight.shape):
            raise WarmStartError(
                f"{tflite}: convolution {number} is {kernel.shape}, the network's is "
                f"{tuple(conv.weight.shape)}; use a file of the same width and classes"
            )
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(kernel))
        if isinstance(layer, ConvNorm):
            biases[layer.norm] = torch.from_numpy(bias)
        else:
            with torch.no_grad():
                conv.bias.copy_(torch.from_numpy(bias))
    restore_norms(network, biases, photos)
    return part


def _layers(module: nn.Module) -> list[nn.Module]:
    """Convolutions with their norms, and the heads' last ones, in the order of execution."""
    found: list[nn.Module] = []
    for child in module.children():
        leaf = isinstance(child, ConvNorm | nn.Conv2d)
        found += [child] if leaf else _layers(child)
    return found


def _convolutions(tflite: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Float weights and biases of all convolutions, in the order of execution."""
    interpreter = Interpreter(
        str(tflite),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}

    def real(index: int) -> np.ndarray:
        q = details[index]["quantization_parameters"]
        shape = [1] * len(details[index]["shape"])
        if len(q["scales"]) > 1:
            shape[q["quantized_dimension"]] = -1
        value = interpreter.get_tensor(index).astype(np.float32)
        zero = q["zero_points"].astype(np.float32).reshape(shape)
        return (value - zero) * q["scales"].astype(np.float32).reshape(shape)

    return [
        (real(op["inputs"][1]), real(op["inputs"][2]))
        for op in interpreter._get_ops_details()
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]


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
