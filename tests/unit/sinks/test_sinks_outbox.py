"""Payloads that wait: in their order, on disk, each until it is confirmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_detector.errors import SinkError
from pi_detector.sinks.outbox import Outbox
from pi_detector.sinks.store import Store

MIB = 1024 * 1024


def an_outbox(folder: Path, most_bytes: int = MIB) -> Outbox:
    outbox = Outbox(Store(folder / "queue", most_bytes))
    outbox.open()
    return outbox


def taken(outbox: Outbox, most: int = 10_000) -> list[bytes]:
    """What would be sent now; confirmed at once."""
    payloads = []
    while len(payloads) < most and (entry := outbox.take()) is not None:
        payloads.append(entry.payload)
        outbox.confirm(entry.number)
    outbox.settle()
    return payloads


def test_what_is_confirmed_is_gone_and_the_rest_is_sent_again_in_order(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path)
    for number in range(10):
        outbox.add(b"%d" % number)
    for _ in range(3):
        entry = outbox.take()
        assert entry is not None
        if entry.payload != b"1":
            outbox.confirm(entry.number)
    outbox.settle()
    outbox.rewind()  # the connection is lost: 1 was not confirmed
    assert taken(outbox) == [b"1", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
    assert outbox.waiting == 0


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    before = an_outbox(tmp_path)
    for number in range(200):
        before.add(b"%d" % number)
    assert taken(before, 50) == [b"%d" % number for number in range(50)]
    before.close()
    after = an_outbox(tmp_path)
    after.add(b"200")
    assert taken(after) == [b"%d" % number for number in range(50, 201)]
    after.close()
    assert list(tmp_path.iterdir()) == [], "an empty queue leaves no file"


def test_two_detectors_cannot_share_a_queue(tmp_path: Path) -> None:
    one = an_outbox(tmp_path)
    one.add(b"{}")
    one.store()
    with pytest.raises(SinkError, match=r"give each its own mqtt\.name"):
        an_outbox(tmp_path)


def test_a_full_queue_gives_up_the_oldest_and_counts_them(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path, most_bytes=10_000)
    for number in range(100):
        outbox.add(b"%04d" % number + bytes(1000))
        outbox.store()
    kept = [int(payload[:4]) for payload in taken(outbox)]
    assert kept == list(range(100 - len(kept), 100))
    assert 5 <= len(kept) <= 10
    assert outbox.lost == 100 - len(kept)


def test_a_damaged_queue_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "queue").write_bytes(b"no database" * 1000)
    outbox = an_outbox(tmp_path)
    outbox.add(b"new")
    outbox.store()
    assert taken(outbox) == [b"new"]
    outbox.close()
    (aside,) = tmp_path.iterdir()
    assert aside.read_bytes().startswith(b"no database")


def test_a_disk_that_cannot_be_read_at_first_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers that were given meanwhile are those of payloads on the disk."""
    before = an_outbox(tmp_path)
    for number in range(100):
        before.add(b"%d" % number)
    before.close()

    store = Store(tmp_path / "queue", MIB)
    later = Outbox(store)
    opened = store.open_existing
    monkeypatch.setattr(store, "open_existing", lambda: (_ for _ in ()).throw(SinkError("away")))
    with pytest.raises(SinkError):
        later.open()
    later.add(b"100")
    sent = later.take()
    assert sent is not None
    later.add(b"101")
    with pytest.raises(SinkError):
        later.store()
    monkeypatch.setattr(store, "open_existing", opened)
    later.add(b"102")
    later.store()
    assert taken(later) == [*(b"%d" % number for number in range(100)), b"101", b"102"]
    later.rewind()  # the connection is lost
    assert taken(later) == [b"100"]
    assert later.waiting == 0
    later.close()
    assert list(tmp_path.iterdir()) == []
