"""Sends messages about numbered events, in a process that may be killed.

usage: notify_feeder.py STATE_FOLDER URL FIRST LAST [KEY=VALUE...]; a line with its number for each
event that was handed over. A line on standard input has it close.
"""

from __future__ import annotations

import sys
from pathlib import Path

from notified import a_rule, event, now, view_of

from pi_detector.config.settings import RecoverySettings
from pi_detector.sinks.notify.sink import NotifySink


def main() -> None:
    folder, url, first, last, *more = sys.argv[1:]
    extra = {name: float(value) for name, value in (each.split("=") for each in more)}
    rule = a_rule(urls=[url], max_per_minute=6000, **extra)
    sink = NotifySink(
        {"phone": rule},
        RecoverySettings(first_delay_s=0.02, longest_delay_s=0.1),
        Path(folder),
        page="",
        report=lambda record: print(record.state, record.reason, file=sys.stderr, flush=True),
    )
    sink.start()
    for number in range(int(first), int(last) + 1):
        sink.handle(view_of(number, number % 200))
        sink.handle(event(number, now=now()))
        print(number, flush=True)
    sys.stdin.readline()
    sink.close()


if __name__ == "__main__":
    main()
