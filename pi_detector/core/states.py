"""The words of records for what ended, what a status is about, and how it is."""

from __future__ import annotations

from typing import Literal

EndReason = Literal["gone", "source_lost", "source_ended", "paused", "reload", "failed", "shutdown"]
"""The object is gone; the camera is; the file or folder is at its end; detection is paused;
settings changed so that it cannot be followed further; following it failed; the program ends."""
Part = Literal[
    "source",
    "detection",
    "events",
    "sink",
    "model",
    "settings",
    "governor",
    "telemetry",
    "service",
    "schedule",
]
State = Literal[
    "starting", "live", "limited", "paused", "stalled", "reopening", "failed", "stopped", "refused"
]
