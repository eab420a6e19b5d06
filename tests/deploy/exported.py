"""A small exported network with random weights whose activations look like a trained one's."""

import numpy as np
import torch
from torch import nn

from deploy.quantization.export import INPUT, export_float
from deploy.training.network import NetworkSpec, SSDLite

SPEC = NetworkSpec(2, input_size=96, width=0.35)
CONSTANT = "backbone.blocks.1.filter"
CONSTANT_BIAS = 2.5


def pictures(count, seed=0):
    """Network inputs: coloured rectangles on noise, one at a time."""
    rng = np.random.default_rng(seed)
    side = SPEC.input_size
    for _ in range(count):
        image = rng.normal(0, 0.2, (side, side, 3))
        x, y = rng.integers(0, side - 32, 2)
        image[y : y + 32, x : x + 32] += rng.uniform(-0.8, 0.8, 3)
        yield {INPUT: image.clip(-1, 1).astype(np.float32)[None]}


def export_small(out):
    """Export it; the first channel of the layer CONSTANT gives CONSTANT_BIAS whatever it sees."""
    torch.manual_seed(1)
    network = SSDLite(SPEC)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    inputs = np.concatenate([p[INPUT] for p in pictures(8)])
    for head in (*network.classify, *network.regress):
        nn.init.normal_(head.predict.weight, std=0.3)
    with torch.no_grad():
        network.train()(torch.from_numpy(inputs).permute(0, 3, 1, 2))
        layer = network.get_submodule(CONSTANT)
        layer.conv.weight[0] = 0
        layer.norm.running_mean[0], layer.norm.bias[0] = 0, CONSTANT_BIAS
    export_float(network.eval(), out)
    return out
