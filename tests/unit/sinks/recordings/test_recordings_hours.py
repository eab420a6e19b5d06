"""Outside its hours nothing is recorded, not even the seconds before an event."""

from __future__ import annotations

from pathlib import Path

import av
from recorded import Camera, settings, short_event

from pi_detector.sinks.recordings.sink import RecordingSink


def test_events_are_recorded_within_the_hours(tmp_path: Path) -> None:
    hours = {"on": False}
    wanted = settings(pre_s=3, post_s=0.5)
    sink = RecordingSink(tmp_path, wanted, is_on=lambda: hours["on"])
    sink.start()
    camera = Camera(sink)
    camera.frames(2)
    short_event(camera, "before")
    camera.frames(2)
    hours["on"] = True
    camera.frames(1)
    on_s = camera.at_s
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("within", "new")
    hours["on"] = False
    camera.frames(2)
    del camera.objects[1]
    camera.tell("within", "end", reason="gone")
    camera.frames(2)
    short_event(camera, "after")
    camera.frames(2)
    sink.close()
    (sidecar,) = tmp_path.rglob("*.json")
    assert b'"within"' in sidecar.read_bytes()
    (clip,) = tmp_path.rglob("*.mp4")
    with av.open(str(clip)) as file:
        shown_s = sum(1 for _ in file.decode(video=0)) * 0.1
    # One second before it, of the three that are wanted: the hours began then; to its end.
    assert 3.0 <= shown_s <= 4.0, (shown_s, on_s)
