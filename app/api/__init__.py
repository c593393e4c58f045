"""HTTP words only: controllers, OpenAI's and the wallet's shapes, events, guards, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from app.api.admin import AdminController
from app.api.body import BODY_BYTES_MAX
from app.api.chat import ChatController, EstimateController
from app.api.clinic import ClinicController
from app.api.credits import CreditsController
from app.api.direct import Direct
from app.api.errors import render
from app.api.front import Front
from app.api.guards import admit, provide_caller, provide_house
from app.api.health import HealthController
from app.api.keys import KeysController, OwnKeyController
from app.api.models import ModelsController
from app.api.schema import SchemaController
from app.api.schemas import DocumentsController
from app.api.usage import UsageController
from app.turns.house import House

CONTROLLERS = (
    AdminController,
    ChatController,
    ClinicController,
    CreditsController,
    DocumentsController,
    EstimateController,
    KeysController,
    ModelsController,
    OwnKeyController,
    UsageController,
)


def create(open_house: Callable[[], AbstractAsyncContextManager[House]], *, version: str) -> ASGIApp:
    """The whole HTTP surface over the house that `open_house` opens at start and closes at the end."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_house() as house:
            app.state.house = house
            yield

    app = Litestar(
        route_handlers=[
            Router("/v1", route_handlers=list(CONTROLLERS), guards=[admit]),
            HealthController,
            SchemaController,
        ],
        dependencies={
            "house": Provide(provide_house, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
        },
        exception_handlers={Exception: render},
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
        state=State({"version": version}),
    )
    return Front(app, Direct(app))
