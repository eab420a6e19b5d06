"""The current state of everything published, for a sink that starts in the middle of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from pi_detector.core.records import EventRecord, PerformanceRecord, Publication, StatusRecord


@dataclass(slots=True)
class CurrentState:
    """Follows what is published. For one thread at a time.

    Attributes:
        events: the latest record of each open event, by id.
        lines: crossings of each line that was crossed: ``in`` and ``out``.
        statuses: the latest status record of each part and name, the newest last.
        performance: the latest performance record.
    """

    events: dict[str, EventRecord] = field(default_factory=dict)
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    statuses: dict[tuple[str, str], StatusRecord] = field(default_factory=dict)
    performance: PerformanceRecord | None = None

    def note(self, item: Publication) -> None:
        """Something is published."""
        match item:
            case EventRecord():
                self._note_event(item)
            case StatusRecord():
                self.statuses.pop((item.part, item.name), None)
                # A sink or schedule that stopped is no more.
                if item.part not in {"sink", "schedule"} or item.state != "stopped":
                    self.statuses[item.part, item.name] = item
            case PerformanceRecord():
                self.performance = item

    def copy(self) -> CurrentState:
        """The state as it is now, which does not follow any further."""
        lines = {name: dict(counts) for name, counts in self.lines.items()}
        return CurrentState(dict(self.events), lines, dict(self.statuses), self.performance)

    def _note_event(self, event: EventRecord) -> None:
        if event.phase == "end":
            self.events.pop(event.id, None)
        else:
            self.events[event.id] = event
        for change in event.transitions:
            if change.kind in ("in", "out") and change.total is not None:
                counts = self.lines.setdefault(change.name, {"in": 0, "out": 0})
                counts[change.kind] = change.total
