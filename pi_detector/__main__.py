"""``python -m pi_detector``: the same as ``pi-detector``."""

from __future__ import annotations

import sys

from pi_detector.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
