"""MobileNetV2-SSDLite in plain ``torch.nn``, written to quantize well.

Backbone and heads: M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
2018, which also defines SSDLite (depthwise-separable SSD heads): six feature maps from stride 16
on, with the layers, channels and anchors of the network that was published with it, trained on
COCO, so that its weights fit. A finer map of stride 8 receives the deeper features from above
(T.-Y. Lin et al., "Feature Pyramid Networks", 2017; "FPNLite" with separable convolutions), because
small people are what a security camera sees.

What is chosen for INT8: ReLU6 bounds every activation that is followed by a convolution, each head
has weights of its own (its own per-channel scales), and the raw logits leave the network (the
device thresholds them in the quantized domain; no sigmoid is spent on background).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pi_detector.detector.anchors import AnchorSpec, Shape, shapes_of

# expansion, channels, repeats, stride of the first: table 2 of the MobileNetV2 paper.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST_CHANNELS = 1280
# Channels between and after the two pointwise convolutions of each extra map.
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
STRIDES = (8, 16, 32, 64, 128, 256, 512)
# The maps up to this stride have their anchors where the convolutions look; those of the few large
# cells of the others lie in the middle of each cell, as SSD lays them.
CENTRED_STRIDE = 32
# SSD's squares, in pixels: 0.2 to 0.95 of an input of 300; the one after is the last one's partner.
SQUARES = (60.0, 105.0, 150.0, 195.0, 240.0, 285.0, 300.0)
ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)
# Tall ones for people, a wide one for vehicles.
FINEST_SHAPES = (*shapes_of((14.0, 24.0), (0.45,)), *shapes_of((18.0,), (1.4,)))
BACKGROUND_PRIOR = 0.01


def anchor_shapes() -> tuple[tuple[Shape, ...], ...]:
    """Width and height of the anchors of each map, in pixels of the input."""
    lowest = (*shapes_of((SQUARES[0] / 2,), (1.0,)), *shapes_of(SQUARES[:1], ASPECT_RATIOS[1:3]))
    deeper = tuple(
        (*shapes_of((side,), ASPECT_RATIOS), *shapes_of((math.sqrt(side * following),), (1.0,)))
        for side, following in pairwise(SQUARES[1:])
    )
    return (FINEST_SHAPES, lowest, *deeper)


@dataclass(frozen=True)
class NetworkSpec:
    """What defines a network: stored in every checkpoint.

    Attributes:
        classes: number of classes (no background class: scores are per-class sigmoids).
        input_size: side of the square input, in pixels.
        width: multiplier of the backbone's channels.
        fused_channels: channels of the fused feature map.
        norms: batch norms after the convolutions; without, they are folded into the weights, as in
            a network that starts from the folded weights of a trained one.
    """

    classes: int
    input_size: int = 300
    width: float = 1.0
    fused_channels: int = 96
    norms: bool = True

    def anchors(self, input_size: int | None = None) -> AnchorSpec:
        """The anchors of this network, also for an input of another size.

        Their sizes in pixels stay: what the network has learnt of an object's size, it has learnt
        in pixels. Where they lie follows the padding of the convolutions before them.
        """
        side = input_size or self.input_size
        steps, offsets = [], []
        length, offset = side, 0.5
        for stride in (2, 4, *STRIDES):
            # A stride-2 convolution with 'SAME' padding begins one later where the size is even.
            offset += stride / 2 if length % 2 == 0 else 0
            length = -(-length // 2)
            if stride in STRIDES:
                centred = stride <= CENTRED_STRIDE
                steps.append(float(stride) if centred else side / length)
                offsets.append(offset if centred else side / length / 2)
        return AnchorSpec(
            input_size=(side, side),
            strides=STRIDES,
            shapes=anchor_shapes(),
            steps=tuple(steps),
            offsets=tuple(offsets),
        )


def scaled_channels(channels: int, width: float) -> int:
    """Channels times ``width``, rounded to a multiple of 8 that is at least 90 % of it."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


class ConvNorm(nn.Module):
    """Convolution, batch norm and (unless linear) ReLU6, with TensorFlow's 'SAME' padding.

    The padding of a stride-2 convolution over an even size is (0, 1), as in the network that the
    warm start comes from: a symmetric one would shift its features by a pixel at every stage.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, groups=inputs if depthwise else 1, bias=False
        )
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.linear = linear

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias of the convolution with its norm, as it stands, folded into them."""
        if self.norm is None:
            return self.conv.weight, self.conv.bias
        norm = self.norm
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        return self.conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain

    def fold(self) -> None:
        """Fold the norm into the convolution, for good."""
        weight, bias = (v.detach().clone() for v in self.folded())
        self.conv.weight, self.conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.norm = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel == 1:
            padding = 0
        elif stride == 2 and x.shape[-1] % 2 == 0:
            x, padding = functional.pad(x, (0, 1, 0, 1)), 0
        else:
            padding = kernel // 2
        x = self.filtered(x, stride, padding)
        return x if self.linear else functional.relu6(x)

    def filtered(self, x: Tensor, stride: int, padding: int) -> Tensor:
        """The convolution and the norm."""
        x = self.convolved(x, self.conv.weight, self.conv.bias, stride, padding)
        return x if self.norm is None else self.norm(x)

    def convolved(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """The convolution with other weights."""
        groups = self.conv.groups
        if self.training and groups > 1 and stride == 2:
            # The gradient of a depthwise convolution has no fast kernel for strides on a CPU.
            return functional.conv2d(x, weight, bias, 1, padding, 1, groups)[..., ::2, ::2]
        return functional.conv2d(x, weight, bias, stride, padding, 1, groups)


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3×3 and pointwise 1×1 convolution, each with batch norm and ReLU6."""
    return nn.Sequential(
        ConvNorm(inputs, inputs, 3, stride, depthwise=True), ConvNorm(inputs, outputs)
    )


class InvertedResidual(nn.Module):
    """The building block of MobileNetV2: expand, filter depthwise, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden) if expansion > 1 else nn.Identity()
        self.filter = ConvNorm(hidden, hidden, 3, stride, depthwise=True)
        self.project = ConvNorm(hidden, outputs, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its expanded features (a head may want those)."""
        expanded = self.expand(x)
        y = self.project(self.filter(expanded))
        return (x + y if self.residual else y), expanded


class Backbone(nn.Module):
    """MobileNetV2 up to its last bottleneck.

    Of the features that it returns, the first two are the expanded, ReLU6-bounded ones of the block
    that leaves their stride; the last are the final bottleneck's.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = scaled_channels(32, width)
        self.stem = ConvNorm(3, channels, 3, 2)
        blocks: list[InvertedResidual] = []
        taps: list[int] = []
        self.outputs: list[int] = []
        stride = 2
        for expansion, base, repeats, first_stride in STAGES:
            for index in range(repeats):
                step = first_stride if index == 0 else 1
                if step == 2 and stride in (8, 16):
                    taps.append(len(blocks))
                    self.outputs.append(channels * expansion)
                stride *= step
                blocks.append(
                    InvertedResidual(channels, scaled_channels(base, width), step, expansion)
                )
                channels = scaled_channels(base, width)
        self.blocks = nn.ModuleList(blocks)
        self.taps = tuple(taps)
        self.outputs.append(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the features at strides 8, 16 and 32."""
        x = self.stem(x)
        features = []
        for index, block in enumerate(self.blocks):
            x, expanded = block(x)
            if index in self.taps:
                features.append(expanded)
        return [*features, x]


class Head(nn.Module):
    """SSDLite prediction of one feature map: depthwise 3×3, then a 1×1 convolution."""

    def __init__(self, channels: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.filter = ConvNorm(channels, channels, 3, depthwise=True)
        self.predict = nn.Conv2d(channels, outputs, 1)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.constant_(self.predict.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, outputs, H, W), without activation."""
        return self.predict(self.filter(x))


class SSDLite(nn.Module):
    """The detector.

    Input: (B, 3, H, W) float RGB, each byte as ``(byte - 128) / 128``, so that the quantized input
    is the camera's byte itself (scale 1/128).

    Output: logits (B, N, classes) and coded boxes (B, N, 4), N anchors in the order of
    ``pi_detector.detector.anchors.make_anchors``.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec.width)
        fine, middle, deep = self.backbone.outputs
        # As published: a wider network has a wider last layer, a narrower one keeps it.
        last = scaled_channels(LAST_CHANNELS, max(1.0, spec.width))
        self.last = ConvNorm(deep, last)
        inputs = [last, *(outputs for _, outputs in EXTRAS[:-1])]
        self.extra = nn.ModuleList(
            nn.Sequential(
                ConvNorm(channels, between),
                ConvNorm(between, between, 3, 2, depthwise=True),
                ConvNorm(between, outputs),
            )
            for channels, (between, outputs) in zip(inputs, EXTRAS, strict=True)
        )
        fused = spec.fused_channels
        self.lateral = nn.ModuleList(ConvNorm(c, fused) for c in (fine, middle, deep))
        self.smooth = separable(fused, fused)
        prior = -math.log((1 - BACKGROUND_PRIOR) / BACKGROUND_PRIOR)
        widths = (fused, middle, last, *(outputs for _, outputs in EXTRAS))
        heads = list(zip(widths, spec.anchors().per_location, strict=True))
        self.classify = nn.ModuleList(Head(c, n * spec.classes, prior) for c, n in heads)
        self.regress = nn.ModuleList(Head(c, n * 4) for c, n in heads)
        if not spec.norms:
            for module in self.modules():
                if isinstance(module, ConvNorm):
                    module.fold()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and coded boxes of a batch."""
        features = self.backbone(x)
        laterals = [lateral(f) for lateral, f in zip(self.lateral, features, strict=True)]
        fused = self.fuse(1, laterals[1], laterals[2])
        fused = self.fuse(0, laterals[0], fused)
        maps = [self.smooth(fused), features[1], self.last(features[2])]
        for extra in self.extra:
            maps.append(extra(maps[-1]))
        classes = self.spec.classes
        logits = [_flat(h(m), classes) for h, m in zip(self.classify, maps, strict=True)]
        boxes = [_flat(h(m), 4) for h, m in zip(self.regress, maps, strict=True)]
        return torch.cat(logits, 1), torch.cat(boxes, 1)

    def fuse(self, level: int, fine: Tensor, coarse: Tensor) -> Tensor:  # noqa: ARG002
        """The sum of the map of a level and the next deeper one, enlarged."""
        return fine + enlarge(coarse, fine)


def enlarge(coarse: Tensor, fine: Tensor) -> Tensor:
    """``coarse``, enlarged to the size of ``fine``."""
    size = fine.shape[-2:]
    return functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)


def _flat(x: Tensor, depth: int) -> Tensor:
    """(B, anchors·depth, rows, columns) to (B, rows·columns·anchors, depth)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, depth)
