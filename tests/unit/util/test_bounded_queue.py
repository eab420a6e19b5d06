"""The bounded queue between two threads."""

import threading
import time

from pi_detector.util.bounded_queue import BoundedQueue


def test_the_newest_item_wins_and_the_dropped_are_counted():
    handoff = BoundedQueue[int](1, lossless=False)
    for item in range(5):
        assert handoff.put(item)
    assert handoff.get() == 4
    assert handoff.dropped == 4


def test_a_lossless_giver_waits_until_there_is_room():
    handoff = BoundedQueue[int](2, lossless=True)
    taken = []
    giver = threading.Thread(target=lambda: [handoff.put(i) for i in range(100)])
    giver.start()
    while len(taken) < 100:
        taken.append(handoff.get())
    giver.join(5)
    assert taken == list(range(100))
    assert handoff.dropped == 0


def test_closing_wakes_a_waiting_giver_and_refuses_its_item():
    handoff = BoundedQueue[int](1, lossless=True)
    handoff.put(0)
    refused = []
    giver = threading.Thread(target=lambda: refused.append(handoff.put(1)))
    giver.start()
    handoff.close()
    giver.join(5)
    assert refused == [False]
    assert handoff.get() == 0
    assert handoff.ended


def test_get_gives_up_at_its_deadline():
    handoff = BoundedQueue[int](1, lossless=False)
    started = time.monotonic()
    assert handoff.get(timeout_s=0.05) is None
    assert time.monotonic() - started >= 0.05
    assert not handoff.ended


def test_discarding_leaves_nothing_to_take():
    handoff = BoundedQueue[int](4, lossless=False)
    handoff.put(1)
    handoff.close(discard=True)
    assert handoff.get() is None
    assert handoff.ended


def test_precious_items_stay_while_others_can_go():
    handoff = BoundedQueue(3, lossless=False, is_precious=lambda item: item < 0)
    for item in (1, -1, 2, -2, 3, -3, 4):
        handoff.put(item)
    assert handoff.dropped == 4
    assert [handoff.get(0) for _ in range(4)] == [-1, -2, -3, None]


def test_precious_items_too_have_a_limit():
    handoff = BoundedQueue(1, lossless=False, is_precious=lambda _: True)
    for item in range(1500):
        handoff.put(item)
    assert handoff.dropped == 500
    assert handoff.get(0) == 500
