"""Delays before the next try."""

from hypothesis import given
from hypothesis import strategies as st

from pi_detector.util.backoff import Backoff


def test_delays_double_up_to_the_longest_and_begin_again_after_a_reset():
    backoff = Backoff(0.5, 30.0, uniform=lambda: 1.0)
    assert [backoff.next_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 0.5


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 50))
def test_no_delay_is_longer_than_the_longest_nor_shorter_than_half_the_first(
    first_s: float, longest_s: float, tries: int
):
    backoff = Backoff(first_s, longest_s)
    for _ in range(tries):
        assert min(first_s, longest_s) / 2 <= backoff.next_s() <= longest_s


def test_half_of_a_delay_is_random():
    backoff = Backoff(8.0, 8.0)
    delays = {backoff.next_s() for _ in range(50)}
    assert len(delays) > 40
    assert min(delays) >= 4.0
