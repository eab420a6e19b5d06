"""Where the checkout and the helpers of the tests lie."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
CHECKOUT = SUPPORT.parents[1]
