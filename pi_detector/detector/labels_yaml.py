"""Labels in YAML: ``names`` of the ``data.yaml`` that YOLO models are trained with.

Only the tree of nodes is read, never objects: merges and references of a hostile file stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pi_detector.errors import BadLabelsError

_LONGEST = 256 * 1024
_TEXT, _WHOLE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
_FORM = "write 'names:' and below it one '- label' per class"


def names_in_yaml(text: str, place: str) -> list[str]:
    """The labels in a YAML file, in the order of their classes.

    Args:
        text: the file: a list, or a table with `names`: a list, or a table by number from 0.
        place: its name, for messages.

    Raises:
        BadLabelsError: it is no YAML, or has no such list.
    """
    # Not at the top: only few models have their labels in YAML.
    import yaml

    if len(text) > _LONGEST:
        raise BadLabelsError(f"{place}: too large for a labels file; {_FORM}")
    try:
        # The parser in Python: that in C overflows its stack where lists are nested too deeply.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BadLabelsError(f"{place}: not YAML ({reason}); {_FORM}") from error
    if isinstance(root, yaml.MappingNode):
        root = next((value for key, value in root.value if key.value == "names"), None)
    if isinstance(root, yaml.SequenceNode):
        return [_name(node, place, index) for index, node in enumerate(root.value)]
    if isinstance(root, yaml.MappingNode):
        return _by_number(root.value, place)
    raise BadLabelsError(f"{place}: has no list 'names'; {_FORM}")


def _by_number(pairs: Sequence[tuple[Any, Any]], place: str) -> list[str]:
    found: dict[int, str] = {}
    for key, value in pairs:
        if key.tag != _WHOLE or not str(key.value).isdecimal() or int(key.value) in found:
            raise BadLabelsError(f"{place}: 'names' has a class that is no number, or one twice")
        found[int(key.value)] = _name(value, place, int(key.value))
    if sorted(found) != list(range(len(found))):
        raise BadLabelsError(f"{place}: the numbers in 'names' do not count from 0 without gaps")
    return [found[index] for index in range(len(found))]


def _name(node: Any, place: str, index: int) -> str:
    if node.tag not in {_TEXT, _WHOLE}:
        raise BadLabelsError(
            f"{place}: the label of class {index} in 'names' is no text for YAML; put it in quotes"
        )
    return " ".join(str(node.value).split())
