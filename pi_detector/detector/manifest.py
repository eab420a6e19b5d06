"""What a model bundle says of its model: `manifest.toml`, typed.

A `Manifest` goes to TOML with ``tomli_w.dumps(msgspec.to_builtins(manifest))``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pi_detector.detector.anchors import AnchorSpec

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
        architecture: name of the network.
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
        resize: how a frame gets that size; `stretch` ignores its aspect ratio.
        mean: a byte stands for the real number (byte - mean) / deviation.
        deviation: see `mean`.
    """

    tensor: str
    height: Side
    width: Side
    dtype: Literal["int8", "uint8", "int16", "float32"]
    colour: Literal["rgb"] = "rgb"
    resize: Literal["stretch"] = "stretch"
    mean: float = 128.0
    deviation: Size = 128.0


class AnchorsTable(_Table, frozen=True):
    """The numbers that define the anchors, see ``anchors.AnchorSpec``.

    Attributes:
        strides: of the feature maps, in input pixels, finest first.
        sizes: of each feature map, the sides of its square anchors, in input pixels.
        aspect_ratios: width / height of the anchors at every size.
        variances: scales of the box coding (x, y, width, height).
    """

    strides: tuple[Annotated[int, msgspec.Meta(ge=1)], ...]
    sizes: tuple[tuple[Size, ...], ...]
    aspect_ratios: tuple[Size, ...]
    variances: tuple[Size, Size, Size, Size]


class OutputsTable(_Table, frozen=True):
    """What comes out, by name of the output tensor.

    A raw SSD network has `logits` and `boxes`; a network that ends in
    TFLite_Detection_PostProcess has `boxes`, `classes`, `scores` and `count`.

    Attributes:
        logits: (1, N, classes).
        boxes: (1, N, 4): coded offsets of a raw network, else corners in 0..1.
        classes: (1, K) index of the label.
        scores: (1, K) in 0..1.
        count: (1,) number of valid rows.
    """

    boxes: str
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
        scores: how scores are made, and the lowest ones that count.
        labels: in the order of the network's classes.
        training: provenance, free form.
        figures: what was measured, free form.
    """

    model: ModelTable
    input: InputTable
    outputs: OutputsTable
    scores: ScoresTable
    labels: tuple[Label, ...]
    anchors: AnchorsTable | UnsetType = UNSET
    training: dict[str, Any] = {}
    figures: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if (self.anchors is UNSET) != (self.outputs.logits is UNSET):
            raise ValueError("`anchors` and `outputs.logits` belong together: give both or neither")
        names = [label.name for label in self.labels]
        if not names:
            raise ValueError("`labels` is empty")
        if len(set(names)) < len(names) or len({label.id for label in self.labels}) < len(names):
            raise ValueError("`labels` has a name or an id twice")
        if unknown := set(self.scores.by_label) - set(names):
            raise ValueError(f"`scores.by_label` has {min(unknown)!r}, which is no label")
        if isinstance(self.anchors, AnchorsTable):
            self.anchor_spec()

    def anchor_spec(self) -> AnchorSpec | None:
        """The anchors of a raw SSD network, or None."""
        if not isinstance(self.anchors, AnchorsTable):
            return None
        return AnchorSpec(
            input_size=(self.input.height, self.input.width),
            strides=self.anchors.strides,
            sizes=self.anchors.sizes,
            aspect_ratios=self.anchors.aspect_ratios,
            variances=self.anchors.variances,
        )
