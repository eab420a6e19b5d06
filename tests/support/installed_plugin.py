"""Packages with entry points, as pip would install them: a module and its metadata in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path, package: str, code: str, entry_points: Mapping[str, str], version: str = "1.2.3"
) -> Path:
    """Install a package of one module, which is named like the package.

    Args:
        folder: to be on the module search path.
        package: its name, with underscores.
        code: of the module.
        entry_points: ``kind.name``, such as ``sink.webhook``, to the attribute of the module.
        version: of the package.
    """
    (folder / f"{package}.py").write_text(code)
    metadata = folder / f"{package}-{version}.dist-info"
    metadata.mkdir()
    name = package.replace("_", "-")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for key, attribute in entry_points.items():
        kind, _, entry = key.partition(".")
        lines += [f"[pi_detector.{kind}s]", f"{entry} = {package}:{attribute}", ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder
