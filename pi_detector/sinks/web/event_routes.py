"""The routes of events: their list, one of them, and what a viewer does with it."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pi_detector.sinks.web.answers import body_of, decoded, json_answer
from pi_detector.sinks.web.archive import Archive
from pi_detector.sinks.web.crops import Crops
from pi_detector.sinks.web.media import MediaResponse
from pi_detector.sinks.web.operations import EventChange, ListQuery, ReviewMarks


class EventRoutes:
    """Answers requests about events.

    Args:
        archive: the events.
        crops: pictures of those of this run.
    """

    def __init__(self, archive: Archive, crops: Crops) -> None:
        self._archive = archive
        self._crops = crops

    def routes(self) -> list[Route]:
        """Addresses and what answers them."""
        return [
            Route("/api/review", self._list),
            Route("/api/review", self._mark, methods=["POST"]),
            Route("/api/events/{id}", self._detail),
            Route("/api/events/{id}", self._change, methods=["PATCH"]),
            Route("/api/events/{id}", self._delete, methods=["DELETE"]),
            Route("/api/events/{id}/thumbnail.jpg", self._thumbnail),
        ]

    async def _list(self, request: Request) -> Response:
        try:
            # Not all of it with strict=False, which takes "null" for none.
            given = {name: _number(text) for name, text in request.query_params.items()}
            asked = msgspec.convert(given, ListQuery)
        except msgspec.ValidationError as wrong:
            raise HTTPException(400, f"not valid: {wrong}") from wrong
        found = await run_in_threadpool(self._archive.listed, asked.before)
        return json_answer(request, msgspec.json.encode(found))

    async def _mark(self, request: Request) -> Response:
        marks = decoded(await body_of(request), ReviewMarks)
        await run_in_threadpool(self._archive.review, marks.ids, marks.reviewed)
        return json_answer(request, b'{"done": true}')

    async def _detail(self, request: Request) -> Response:
        found = await run_in_threadpool(self._archive.detail, request.path_params["id"])
        if found is None:
            raise HTTPException(404, "no such event; it may have been deleted")
        return json_answer(request, msgspec.json.encode(found))

    async def _change(self, request: Request) -> Response:
        event_id, change = request.path_params["id"], decoded(await body_of(request), EventChange)
        if change.kept is not None:
            known = await run_in_threadpool(self._archive.keep, event_id, change.kept)
            if not known:
                raise HTTPException(404, "not recorded, or not yet")
        if change.reviewed is not None:
            await run_in_threadpool(self._archive.review, [event_id], change.reviewed)
        return json_answer(request, b'{"done": true}')

    async def _delete(self, request: Request) -> Response:
        if not await run_in_threadpool(self._archive.delete, request.path_params["id"]):
            raise HTTPException(404, "not recorded, or deleted already")
        return json_answer(request, b'{"done": true}')

    async def _thumbnail(self, request: Request) -> Response:
        event_id = request.path_params["id"]
        path = await run_in_threadpool(self._archive.thumbnail, event_id)
        if path is not None and self._archive.root is not None:
            try:
                return await run_in_threadpool(MediaResponse, self._archive.root, path)
            except OSError as missing:
                raise HTTPException(404, "this recording was deleted") from missing
        crop = self._crops.of(event_id)
        if crop is None:
            raise HTTPException(404, "this event has no picture")
        return Response(crop, media_type="image/jpeg")


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
