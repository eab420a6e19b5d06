"""The routes as a whole: those of the API with their version, and the methods of an address."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Route

from pi_detector.sinks.web.operations import PREFIX

_BARE = "/api/"


def versioned(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """The routes, those of the API also below ``/api/v1``.

    The bare addresses are those of pages that a browser still has open.
    """
    found: list[BaseRoute] = []
    for route in routes:
        found.append(route)
        if isinstance(route, Route) and route.path.startswith(_BARE):
            path = f"{PREFIX}/{route.path.removeprefix(_BARE)}"
            found.append(Route(path, route.endpoint, methods=sorted(route.methods or ["GET"])))
    return found


def allowed(request: Request) -> str:
    """The methods of an address, as of the header ``Allow``."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
