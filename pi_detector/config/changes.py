"""What is not the same in two trees of settings."""

from __future__ import annotations

import msgspec

from pi_detector.config.settings import Settings


def differ(old: Settings, new: Settings, section: str) -> bool:
    """Whether a section is not the same."""
    return bool(getattr(old, section) != getattr(new, section))


def differences(old: Settings, new: Settings, sections: tuple[str, ...]) -> list[str]:
    """Dotted names of the settings of these sections that are not the same."""
    return [
        f"{section}.{name}"
        for section in sections
        for name, value in msgspec.structs.asdict(getattr(new, section)).items()
        if value != getattr(getattr(old, section), name)
    ]
