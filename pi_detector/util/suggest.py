"""The nearest of the names that there are, for the message about one that there is not."""

from __future__ import annotations

from collections.abc import Iterable

_LIKENESS = 0.6
_MOST_NAMES = 12


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The name that ``given`` most likely stands for, or None where none is like it.

    Case does not matter.
    """
    # Not at the top: only a message about a mistake needs it.
    import difflib

    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=_LIKENESS)
    return by_lower[found[0]] if found else None


def did_you_mean(given: str, known: Iterable[str], otherwise: str, *, quote: str = "'") -> str:
    """The part of a message that says how to mend a name: ``did you mean 'car'?``.

    Args:
        given: the unknown name.
        known: the names that there are.
        otherwise: where none of them is like it; ``{}`` in it stands for the first of them.
        quote: around the name.
    """
    names = list(known)
    near = nearest(given, names)
    if near is not None:
        return f"did you mean {quote}{near}{quote}?"
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return otherwise.replace("{}", (", ".join(names[:_MOST_NAMES]) or "none") + more)
