"""Files of recordings, sent from inside their folder only."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from pi_detector.sinks.recordings import confined

_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
_HEADERS = {"Cache-Control": "private, max-age=3600"}


class MediaResponse(FileResponse):
    """A file that was opened without following links, and is sent as it was opened.

    Args:
        root: the folder of the recordings.
        path: of a media file, relative to it.

    Raises:
        OSError: there is none, or a link leads to it.
    """

    def __init__(self, root: Path, path: str) -> None:
        self._file = confined.open_file(root, path)
        descriptor = self._file.fileno()
        super().__init__(
            # Starlette opens a path; this one is of the file that is open already.
            f"/proc/self/fd/{descriptor}",
            media_type=_TYPES[Path(path).suffix],
            headers=_HEADERS,
            stat_result=os.fstat(descriptor),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        with self._file:
            await super().__call__(scope, receive, send)
