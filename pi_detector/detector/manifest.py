"""The manifest of a model bundle: `manifest.toml`, typed.

``tomli_w.dumps(msgspec.to_builtins(manifest))`` writes a `Manifest` as TOML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pi_detector.detector.anchors import AnchorSpec, shapes_of

Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Size = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[^/\\]+\.tflite$")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the manifest."""


class ModelTable(_Table, frozen=True):
    """What the model is.

    Attributes:
        name: of the bundle.
        version: of the bundle.
        description: one line.
        architecture: family of the network, which decides who decodes its outputs, see
            ``decoders``.
        licence: SPDX identifier of the weights' licence.
        file: name of the model file in the bundle.
        sha256: of that file, lower-case hexadecimal.
    """

    name: str
    version: str
    description: str
    architecture: str
    licence: str
    sha256: Sha256
    file: FileName = "model.tflite"


class InputTable(_Table, frozen=True):
    """What goes in.

    Attributes:
        tensor: name of the input tensor.
        height: in pixels.
        width: in pixels.
        dtype: element type.
        colour: order of the channels.
        layout: order of the axes; `nhwc` has the channels last, `nchw`, as PyTorch exports, first.
        resize: how a frame gets that size; `stretch` ignores its aspect ratio, `letterbox` keeps
            it and fills up with bars.
        padding: the byte of the bars.
        mean: a byte stands for the real number (byte - mean) / deviation.
        deviation: see `mean`.
    """

    tensor: str
    height: Side
    width: Side
    dtype: Literal["int8", "uint8", "int16", "float32"]
    colour: Literal["rgb"] = "rgb"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    resize: Literal["stretch", "letterbox"] = "stretch"
    padding: Annotated[int, msgspec.Meta(ge=0, le=255)] = 114
    mean: float = 128.0
    deviation: Size = 128.0


class AnchorsTable(_Table, frozen=True):
    """The numbers that define the anchors, see ``anchors.AnchorSpec``.

    The anchors of a location are either `shapes`, or `sizes` in all `aspect_ratios`.

    Attributes:
        strides: of the feature maps, in input pixels, finest first.
        shapes: of each feature map, (width, height) of the anchors at every location, in input
            pixels.
        sizes: of each feature map, the sides of its square anchors, in input pixels.
        aspect_ratios: width / height of the anchors at every size.
        variances: scales of the box coding (x, y, width, height).
        steps: of each feature map, the distance of its locations in input pixels; unset: the
            strides.
        offsets: of each feature map, the centre of its first location in input pixels; unset: half
            of a step.
    """

    strides: tuple[Annotated[int, msgspec.Meta(ge=1)], ...]
    variances: tuple[Size, Size, Size, Size]
    shapes: tuple[tuple[tuple[Size, Size], ...], ...] | UnsetType = UNSET
    sizes: tuple[tuple[Size, ...], ...] | UnsetType = UNSET
    aspect_ratios: tuple[Size, ...] | UnsetType = UNSET
    steps: tuple[Size, ...] | UnsetType = UNSET
    offsets: tuple[Size, ...] | UnsetType = UNSET

    def spec(self, input_size: tuple[int, int]) -> AnchorSpec:
        """The anchors for an input of (height, width) pixels.

        Raises:
            ValueError: the numbers contradict each other.
        """
        if (self.sizes is UNSET) != (self.aspect_ratios is UNSET):
            raise ValueError("`sizes` or `aspect_ratios` is missing; set both or neither")
        if (self.shapes is UNSET) == (self.sizes is UNSET):
            raise ValueError("use either `shapes` or `sizes` with `aspect_ratios`")
        shapes = self.shapes
        if isinstance(self.sizes, tuple) and isinstance(self.aspect_ratios, tuple):
            ratios = self.aspect_ratios
            shapes = tuple(shapes_of(sides, ratios) for sides in self.sizes)
        assert isinstance(shapes, tuple), "one of both is given"
        return AnchorSpec(
            input_size=input_size,
            strides=self.strides,
            shapes=shapes,
            variances=self.variances,
            steps=None if self.steps is UNSET else self.steps,
            offsets=None if self.offsets is UNSET else self.offsets,
        )


class OutputsTable(_Table, frozen=True):
    """What comes out, by name of the output tensor.

    A raw SSD network (`ssd`) has `logits` and `boxes`; a network that ends in
    TFLite_Detection_PostProcess (`ssd-postprocess`) has `boxes`, `classes`, `scores` and `count`.
    The decoders of plugins have their own in the table `decoder`.

    Attributes:
        logits: (1, N, classes).
        boxes: (1, N, 4): coded offsets of a raw network, else corners in 0..1.
        classes: (1, K) index of the label.
        scores: (1, K) in 0..1.
        count: (1,) number of valid rows.
    """

    boxes: str | UnsetType = UNSET
    logits: str | UnsetType = UNSET
    classes: str | UnsetType = UNSET
    scores: str | UnsetType = UNSET
    count: str | UnsetType = UNSET


class ScoresTable(_Table, frozen=True):
    """How scores are made, and the lowest ones that count.

    Attributes:
        activation: what turns a logit into a score.
        default: lowest score of a detection.
        by_label: the same for single labels.
    """

    default: Share
    activation: Literal["sigmoid"] = "sigmoid"
    by_label: dict[str, Share] = {}


class SuppressionTable(_Table, frozen=True):
    """What becomes of overlapping boxes of a class.

    Attributes:
        average: the box that stays is averaged with those that it suppresses; else it stays as the
            network gave it, as YOLO's own prediction has it.
    """

    average: bool = True


class Label(_Table, frozen=True):
    """A class: its id (COCO's, with gaps) and its name."""

    id: int
    name: str


class Manifest(_Table, frozen=True):
    """A bundle's manifest.

    Attributes:
        model: what the model is.
        input: what goes in.
        outputs: what comes out.
        anchors: of a raw SSD network; unset for a model that decodes its boxes itself.
        decoder: what the decoder of another architecture needs, free form.
        scores: how scores are made, and the lowest ones that count.
        suppression: what becomes of overlapping boxes.
        labels: in the order of the network's classes.
        training: provenance, free form.
        figures: what was measured, free form.
    """

    model: ModelTable
    input: InputTable
    scores: ScoresTable
    labels: tuple[Label, ...]
    outputs: OutputsTable = OutputsTable()
    anchors: AnchorsTable | UnsetType = UNSET
    decoder: dict[str, Any] = {}
    suppression: SuppressionTable = SuppressionTable()
    training: dict[str, Any] = {}
    figures: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if (self.anchors is UNSET) != (self.outputs.logits is UNSET):
            raise ValueError("`anchors` or `outputs.logits` is missing; set both or neither")
        names = [label.name for label in self.labels]
        if not names:
            raise ValueError("`labels` is empty")
        if len(set(names)) < len(names) or len({label.id for label in self.labels}) < len(names):
            raise ValueError("`labels` has a name or an id twice")
        if unknown := set(self.scores.by_label) - set(names):
            raise ValueError(f"`scores.by_label` has {min(unknown)!r}, which is not a label")
        if isinstance(self.anchors, AnchorsTable):
            self.anchor_spec()

    def anchor_spec(self) -> AnchorSpec | None:
        """The anchors of a raw SSD network, or None."""
        if not isinstance(self.anchors, AnchorsTable):
            return None
        return self.anchors.spec((self.input.height, self.input.width))
