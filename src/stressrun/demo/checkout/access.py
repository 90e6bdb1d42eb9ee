"""The service's own count of its requests, at `/requests`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AccessCount:
    """Counts each request but its own once, by method, route template and status."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._templates = {route.endpoint: route.path for route in routes}
        self._counts: Counter[tuple[str, str | None, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/requests":
            await JSONResponse(self.report())(scope, receive, send)
            return

        async def count_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"])
            await send(message)

        await self._app(scope, receive, count_and_send)

    def _count(self, scope: Scope, status: int) -> None:
        endpoint = scope.get("endpoint")
        route = self._templates[endpoint] if endpoint else None
        self._counts[scope["method"], route, status] += 1

    def report(self) -> dict[str, object]:
        """The counts so far; `route` is null for a path that no route knows."""
        routes = [
            {"method": method, "route": route, "status": status, "count": count}
            for (method, route, status), count in self._counts.items()
        ]
        return {"total": self._counts.total(), "routes": routes}
