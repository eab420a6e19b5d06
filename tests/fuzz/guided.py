"""A target of ``texts`` under atheris, which looks for inputs that reach new code.

python tests/fuzz/guided.py TARGET CORPUS [options of libFuzzer]
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pi_detector", "tomllib"]):
    import texts


def main() -> None:
    """Begin with the target's own seeds, beside what CORPUS holds."""
    target, corpus = sys.argv[1], Path(sys.argv[2])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(texts.seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], texts.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
