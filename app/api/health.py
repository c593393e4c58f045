"""`/health/live` and `/health/ready`: is the process up, and can it serve."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get

from app.api.answers import Alive, Readiness
from app.api.guards import house_of
from app.base.errors import Refused


class HealthController(Controller):
    """Needs no key."""

    path = "/health"
    tags = ["operations"]

    @get("/live", sync_to_thread=False)
    def live(self) -> Alive:
        """The process answers."""
        return {"status": "ok"}

    @get("/ready", opt={"others": {503: "The database can't be reached, or the service is stopping."}})
    async def ready(self, request: Request[Any, Any, Any]) -> Response[Readiness]:
        """The database can be reached; upstreams are listed, and fail nothing."""
        house = house_of(request)
        try:
            await house.database.ping()
            reachable = True
        except Refused:
            reachable = False
        ready = reachable and not house.work.draining
        return Response(
            {
                "status": "ok" if ready else "unavailable",
                "database": "ok" if reachable else "unreachable",
                "draining": house.work.draining,
                "upstreams": house.engines.status(),
                "ruleset": house.ruleset,
            },
            status_code=200 if ready else 503,
        )
