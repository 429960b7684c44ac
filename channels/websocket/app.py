"""The FastAPI application of the gateway."""

from __future__ import annotations

from fastapi import FastAPI

from agentd import __version__
from channels.websocket import health, refusals, socket, ticket
from channels.websocket.api import routes as api
from channels.websocket.api.streams import Streams
from channels.websocket.gateway import Gateway
from channels.websocket.openai import routes as openai
from channels.websocket.page import routes as page


def make_app(gateway: Gateway) -> FastAPI:
    """All routes, each with what it uses of `gateway`."""
    # The pages with the documentation load scripts from other hosts.
    app = FastAPI(title="agentd", version=__version__, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.gateway = gateway
    app.state.streams = Streams()
    refusals.explain(app)
    app.include_router(health.router)
    app.include_router(socket.router)
    app.include_router(ticket.router)
    app.include_router(openai.router)
    app.include_router(api.router)
    app.include_router(page.router)
    return app
