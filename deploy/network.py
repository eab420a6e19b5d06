"""MobileNetV2-SSDLite in plain ``torch.nn``, written to quantize well.

Backbone: M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, which
also defines SSDLite (depthwise-separable SSD heads). The stride-8 and stride-16 maps receive the
deeper features from above (T.-Y. Lin et al., "Feature Pyramid Networks", 2017; "FPNLite" with
separable convolutions), because small persons are what a security camera sees.

What is chosen for INT8: ReLU6 bounds every activation that is followed by a convolution, each head
has weights of its own (its own per-channel scales), and the raw logits leave the network (the
device thresholds them in the quantized domain; no sigmoid is spent on background).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pi_detector.detector.anchors import AnchorSpec

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
STRIDES = (8, 16, 32, 64, 128)
# Side lengths of the anchors as a fraction of the input, by feature map.
ANCHOR_FRACTIONS = (0.07, 0.15, 0.31, 0.57, 0.86)
ASPECT_RATIOS = (0.5, 1.0, 2.0)
BACKGROUND_PRIOR = 0.01


@dataclass(frozen=True)
class NetworkSpec:
    """What defines a network: stored in every checkpoint.

    Attributes:
        classes: number of classes (no background class: scores are per-class sigmoids).
        input_size: side of the square input, in pixels.
        width: multiplier of the backbone's channels.
        head_channels: channels of the fused feature maps.
    """

    classes: int
    input_size: int = 300
    width: float = 1.0
    head_channels: int = 128

    def anchors(self, input_size: int | None = None) -> AnchorSpec:
        """The anchors of this network, also for an input of another size.

        Their sizes in pixels stay: what the network has learnt of an object's size, it has learnt
        in pixels.
        """
        side = input_size or self.input_size
        return AnchorSpec(
            input_size=(side, side),
            strides=STRIDES,
            sizes=tuple((round(f * self.input_size, 2),) for f in ANCHOR_FRACTIONS),
            aspect_ratios=ASPECT_RATIOS,
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
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.linear = linear

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
        x = functional.conv2d(x, self.conv.weight, None, stride, padding, 1, self.conv.groups)
        return self.norm(x)


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
        channels = spec.head_channels
        self.backbone = Backbone(spec.width)
        self.lateral = nn.ModuleList(ConvNorm(c, channels) for c in self.backbone.outputs)
        self.smooth = nn.ModuleList(separable(channels, channels) for _ in STRIDES[:3])
        self.extra = nn.ModuleList(separable(channels, channels, 2) for _ in STRIDES[3:])
        prior = -math.log((1 - BACKGROUND_PRIOR) / BACKGROUND_PRIOR)
        counts = spec.anchors().per_location
        self.classify = nn.ModuleList(Head(channels, n * spec.classes, prior) for n in counts)
        self.regress = nn.ModuleList(Head(channels, n * 4) for n in counts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and coded boxes of a batch."""
        maps = [lateral(f) for lateral, f in zip(self.lateral, self.backbone(x), strict=True)]
        for level in (1, 0):
            maps[level] = self.fuse(level, maps[level], maps[level + 1])
        maps = [smooth(m) for smooth, m in zip(self.smooth, maps, strict=True)]
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
