"""Checkpoints: everything that training needs to go on as if it had never stopped."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from deploy.files import write_aside
from deploy.training.network import NetworkSpec, SSDLite


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or continued."""


def save_checkpoint(path: Path, state: dict) -> None:
    """Write a checkpoint; the one before it stays until the new one is whole.

    Raises:
        OSError: it cannot be written (disk full, ...); names the file.
    """
    # Through memory: torch reports a full disk as an assertion of its archive writer.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_aside(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint.

    Raises:
        CheckpointError: it is missing, or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # A checkpoint that is kept may have its weights in half precision.
        state["average"] = {
            name: value.float() if value.dtype == torch.float16 else value
            for name, value in state["average"].items()
        }
        return state
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such checkpoint; run `python -m deploy train`"
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path}: damaged, or not a checkpoint ({type(error).__name__}); "
            "remove it to start again, or restore a copy"
        ) from error


def load_network(path: Path) -> SSDLite:
    """The averaged network of a checkpoint, ready for evaluation and export."""
    state = load_checkpoint(path)
    network = SSDLite(NetworkSpec(**state["spec"]))
    network.load_state_dict(state["average"])
    return network.eval()


def lineage(path: Path) -> list[dict]:
    """How the network of a checkpoint was trained: one table a training, the first one first."""
    return load_checkpoint(path).get("lineage", [])


def labels(path: Path) -> list[str]:
    """The classes of the network of a checkpoint, in the order of its outputs.

    Raises:
        CheckpointError: it does not say.
    """
    found = load_checkpoint(path).get("labels")
    if not found:
        raise CheckpointError(f"{path}: does not say its classes; train it with this version")
    return list(found)
