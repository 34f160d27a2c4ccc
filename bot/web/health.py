"""`/healthz` (the process answers), `/readyz` (it can do its work) and `/metrics` (Prometheus)."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from bot.services.presence import ALIVE
from bot.store import StoreDown, Transaction
from bot.web.code_tasks import PartsOf

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process is alive."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(parts: PartsOf) -> JSONResponse:
    """The database answers and no chat platform has given up."""
    checks = {name: platform.health().state for name, platform in parts.platforms.items()}
    try:
        await parts.store.run(lambda tx: tx.figures.unhandled(), read=True)
        checks["database"] = "ready"
    except StoreDown:
        checks["database"] = "failed"
    ready = "failed" not in checks.values()
    return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)


@router.get("/metrics")
async def metrics(parts: PartsOf) -> Response:
    """Gauges read from the store at this moment; a few counting queries."""
    text = await parts.store.run(_metrics, read=True)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _metrics(tx: Transaction) -> bytes:
    registry = CollectorRegistry()
    figures = tx.figures

    def gauge(name: str, says: str, values: dict[str, float], label: str = "") -> None:
        made = Gauge(name, says, [label] if label else [], registry=registry)
        for key, value in values.items():
            (made.labels(key) if label else made).set(value)

    oldest = figures.oldest_delivery_at()
    age = max((tx.now - oldest).total_seconds(), 0.0) if oldest else 0.0
    stages: dict[str, float] = {stage.value: count for stage, count in figures.stages().items()}
    gauge("codetask_code_tasks", "Code tasks by stage.", stages, "stage")
    due = figures.oldest_due_at()
    overdue = max((tx.now - due).total_seconds(), 0.0) if due else 0.0
    gauge("codetask_follow_ups", "Open follow-ups by state.", dict(figures.follow_ups()), "state")
    gauge("codetask_oldest_due_seconds", "How long the oldest pending follow-up is overdue.", {"": overdue})
    gauge("codetask_runs", "Open runs by state.", dict(figures.runs()), "state")
    gauge("codetask_deliveries", "Unfinished chat deliveries by state.", dict(figures.deliveries()), "state")
    gauge("codetask_oldest_delivery_seconds", "Age of the oldest unsent chat delivery.", {"": age})
    gauge("codetask_unhandled_events", "Accepted chat events that wait to be handled.", {"": figures.unhandled()})
    gauge("codetask_claims", "Claims of the runs that are kept.", {"": figures.claims()})
    gauge("codetask_workers", "Workers alive.", {"": len(figures.workers(ALIVE))})
    return generate_latest(registry)
