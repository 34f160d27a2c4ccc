"""The FastAPI application, put together."""

import asyncio

from fastapi import FastAPI

from bot.web import api, health, webhooks
from bot.web.errors import install_error_handlers
from bot.web.filing import Places
from bot.web.gate import Gate, RateLimit, allowed_hosts
from bot.web.live import Live
from bot.web.parts import Parts


def create_web(parts: Parts, stop: asyncio.Event | None = None, limit: RateLimit | None = None) -> FastAPI:
    """The application: `/api/v1`, `/webhooks`, health and metrics. Streams end when `stop` is set."""
    web = FastAPI(title="Codetask", version="1", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    web.state.parts = parts
    web.state.live = Live(parts.store, stop or asyncio.Event())
    web.state.places = Places(parts.platforms)
    for router in (api.router, webhooks.router, health.router):
        web.include_router(router)
    install_error_handlers(web)
    web.add_middleware(Gate, hosts=allowed_hosts(parts.settings), limit=limit or RateLimit())
    return web
