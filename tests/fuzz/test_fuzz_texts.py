"""The text targets on what hypothesis makes up: damaged seeds, pieces of TOML, any bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import texts
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mutate import damaged

_WORDS = """
[source] [model] [detection] [output] [[labels]] [scores.by_label] [input] [outputs] [anchors] [a.b]
uri width min_score min_scores labels id name height strides default threads person demo:
[ ] { } = . , " ' \\ # @ : / ? -1 0 0x7f 1e400 nan inf -inf 99999999999999999999 true \\u0000
1979-05-27T07:32:00Z 07:32:00 'rtsp://admin:hunter2@cam/live'
"""
_PIECES = [*_WORDS.split(), " ", "\n", "\n", '"""', "'''", "\0", "\x7f", "\x9b", "\u202e", "\ufeff"]


def inputs(target: str) -> st.SearchStrategy[bytes]:
    seeds = st.sampled_from(texts.seeds(target))
    return st.one_of(
        st.builds(damaged, seeds, st.integers(0, 2**32)),
        st.lists(st.sampled_from(_PIECES), max_size=25).map(lambda p: "".join(p).encode()),
        st.builds(lambda a, b: a + b"\n" + b, seeds, st.binary(max_size=60)),
        st.binary(max_size=200),
    )


def check(examples: int) -> Callable[..., Callable[..., None]]:
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


@given(inputs("settings"))
@check(150)
@example(b"a" + b".a" * 5000 + b" = 1")
@example(b"a = " + b"[" * 20000)
@example(b"a = " + b"{a=" * 3000)
@example(b"[log]\nlevel = '\x9b'")
def test_settings(data: bytes) -> None:
    texts.fuzz_settings(data)


@given(inputs("overrides"))
@check(150)
@example(b"log.level=\xe9")
@example(b"log.level='\x7f\xc2\x9b[2J'")
def test_overrides(data: bytes) -> None:
    texts.fuzz_overrides(data)


@given(inputs("manifest"))
@check(200)
@example(b"a = " + b"[" * 20000)
@example(b"a = " + b"{a=" * 3000)
def test_manifest(data: bytes) -> None:
    texts.fuzz_manifest(data)


@given(inputs("labels"))
@check(150)
@example(b"person\x0ccar\n")
@example(b"\xff\xfep\0e\0")
def test_labels(data: bytes) -> None:
    texts.fuzz_labels(data)


@given(inputs("uri"))
@check(400)
@example(b"CORP/admin\0cam/live")
@example(b"?\0cam")
def test_uri(data: bytes) -> None:
    texts.fuzz_uri(data)


@pytest.mark.parametrize("target", list(texts.TARGETS))
def test_the_seeds_are_good(target: str) -> None:
    for seed in texts.seeds(target):
        texts.TARGETS[target](seed)
