"""Quantization recipes: what becomes an integer, how, and with which calibration.

A recipe is a TOML file, whose name is the recipe's; the ones of this project lie in
``deploy/quantization/recipes``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pi_detector.util.suggest import did_you_mean

RECIPES = Path(__file__).with_name("recipes")

Weights = Literal["float32", "float16", "int8"]
Activations = Literal["float32", "int8", "int16"]
Method = Literal["min_max", "moving_average", "mse", "octav"]


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the file and the key."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a recipe."""


class Calibration(_Table, frozen=True):
    """How the ranges are found.

    Attributes:
        method: `min_max`: an activation's range reaches from the lowest to the highest value that
            any photo gave; `moving_average`: its ends are moving averages of each photo's lowest
            and highest value; `mse`, `octav`: how the *weights'* scales are chosen, each channel's
            for the least expected square error, where the others take the largest weight (the
            activations' ranges are those of `min_max`).
        photos: number of calibration photos.
        seed: of their choice.
    """

    method: Method = "min_max"
    photos: Annotated[int, msgspec.Meta(ge=1)] = 256
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1


class Qat(_Table, frozen=True):
    """Quantization-aware training before the export.

    Attributes:
        epochs: of it.
        learning_rate: at its start.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1)] = 1
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-4


class Recipe(_Table, frozen=True):
    """A recipe.

    Attributes:
        name: the file's, without its ending.
        summary: one line.
        weights: type of the stored weights; int8 has one scale a channel.
        activations: type of what flows between the layers; int8 and int16 have one scale a tensor
            (int8 with a zero point, int16 symmetric).
        compute: only for int8 weights with float32 activations: `integer` quantizes the input of
            each convolution as it runs (dynamic range), `float` converts the weights back.
        float_layers: regular expressions that match a whole layer's name: layers left in float32.
        calibration: how the ranges are found; used where activations are integers.
        qat: quantization-aware training before the export, or none.
    """

    name: str
    summary: str
    weights: Weights
    activations: Activations
    compute: Literal["float", "integer"] | None = None
    float_layers: tuple[str, ...] = ()
    calibration: Calibration = Calibration()
    qat: Qat | None = None

    def __post_init__(self) -> None:
        if self.activations != "float32" and self.weights != "int8":
            raise ValueError(f"`activations` = {self.activations!r} needs `weights` = 'int8'")
        if (self.compute is not None) != (self.weights == "int8" and not self.calibrated):
            raise ValueError("`compute` belongs to int8 weights with float32 activations, only")
        if self.float_layers and self.weights == "float32":
            raise ValueError("`float_layers`: with float32 weights every layer is")
        if self.qat is not None and self.activations != "int8":
            raise ValueError("`qat` needs `activations` = 'int8'")
        for pattern in self.float_layers:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`float_layers`: {pattern!r} is no pattern ({error})") from error

    @property
    def calibrated(self) -> bool:
        """Whether activations are integers, whose ranges must be known."""
        return self.activations != "float32"

    def with_photos(self, photos: int) -> Recipe:
        """This recipe with another number of calibration photos."""
        changed = msgspec.structs.replace(self.calibration, photos=photos)
        return msgspec.structs.replace(self, calibration=changed)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: the file cannot be read, or is no recipe.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RecipeError(f"{path}: not a TOML file ({error})") from error
    if "name" in content:
        raise RecipeError(f"{path}: unknown key `name`; a recipe has its file's name")
    try:
        return msgspec.convert({**content, "name": path.stem}, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{path}: {_explain(str(error))}") from error


def list_recipes(folder: Path = RECIPES) -> list[Recipe]:
    """The recipes of a folder, by name."""
    return [load_recipe(path) for path in sorted(folder.glob("*.toml"))]


def find_recipe(text: str) -> Recipe:
    """A recipe by the name of one of this project's, or by the path of a TOML file.

    Raises:
        RecipeError: there is no such recipe, or it is not one.
    """
    if text.endswith(".toml"):
        return load_recipe(Path(text))
    path = RECIPES / f"{text}.toml"
    names = sorted(p.stem for p in RECIPES.glob("*.toml"))
    if text not in names:
        fix = did_you_mean(text, names, "there are {}")
        raise RecipeError(f"no recipe {text!r} in {RECIPES}; {fix}")
    return load_recipe(path)


def _explain(message: str) -> str:
    """A decoder's complaint, with its key in front as TOML writes it."""
    text, _, where = message.partition(" - at `$")
    table = where.rstrip("`").lstrip(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", text):
        return f"unknown key `{'.'.join(filter(None, (table, unknown[1])))}`"
    if missing := re.fullmatch(r"Object missing required field `(.+)`", text):
        return f"key `{'.'.join(filter(None, (table, missing[1])))}` is missing"
    return f"`{table}`: {text}" if table else text
