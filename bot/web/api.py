"""`/api/v1` beside code tasks, follow-ups and times: agents, workers, figures, tokens, and who is asking."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from bot.core.people import TOKEN, Action, may
from bot.services.presence import ALIVE
from bot.services.tasks import actor_of
from bot.store import TokenInfo, Transaction
from bot.web.askers import router as askers
from bot.web.audit import router as audit
from bot.web.auth import Caller, caller_with
from bot.web.code_tasks import PartsOf, Reader, Writer
from bot.web.code_tasks import router as code_tasks
from bot.web.errors import ApiError
from bot.web.follow_ups import router as follow_ups
from bot.web.intake import router as intake
from bot.web.parts import Parts
from bot.web.people import router as people
from bot.web.schemas import (
    AgentList,
    AgentOut,
    MeOut,
    NewTokenOut,
    StatsOut,
    TokenIn,
    TokenList,
    TokenOut,
    WorkerList,
    WorkerOut,
)
from bot.web.suggestions import router as suggestions
from bot.web.times import router as times
from bot.web.tokens import digest, new_token, person_key

router = APIRouter(prefix="/api/v1")
for nouns in (askers, code_tasks, follow_ups, times, people, audit, intake, suggestions):
    router.include_router(nouns)

Anyone = Annotated[Caller, Depends(caller_with("read"))]


@router.get("/me")
async def who_am_i(caller: Anyone) -> MeOut:
    """The person this token acts for, with their role here."""
    person = caller.person
    return MeOut(
        platform=person.platform,
        workspace_id=person.workspace_id,
        id=person.id,
        name=person.name,
        role=caller.role,
        scopes=sorted(caller.scopes),
        roles=sorted(person.roles),
        linked=[one.account for one in person.also],
    )


@router.get("/agents")
async def list_agents(parts: PartsOf, caller: Reader) -> AgentList:
    """The agents that may be used."""
    _require(caller, Action.VIEW)
    default = parts.settings.default_agent
    return AgentList(items=[AgentOut(name=name, default=name == default) for name in parts.tasks.agents])


@router.get("/workers")
async def list_workers(parts: PartsOf, caller: Reader) -> WorkerList:
    """Workers that were alive within the last minute."""
    _require(caller, Action.VIEW)
    seen = await parts.store.run(lambda tx: tx.figures.workers(ALIVE), read=True)
    return WorkerList(
        items=[
            WorkerOut(id=w.id, host=w.host, version=w.version, sandbox=w.sandbox, seen_at=w.seen_at, runs=w.busy)
            for w in seen
        ]
    )


@router.get("/stats")
async def show_stats(parts: PartsOf, caller: Reader) -> StatsOut:
    """Figures of the whole installation."""
    _require(caller, Action.VIEW)
    return await parts.store.run(read_stats, read=True)


def read_stats(tx: Transaction) -> StatsOut:
    """The figures, as one read."""
    return StatsOut(
        code_tasks={stage.value: count for stage, count in tx.figures.stages().items()},
        follow_ups=dict(tx.figures.follow_ups()),
        runs=dict(tx.figures.runs()),
        deliveries=dict(tx.figures.deliveries()),
        unhandled_events=tx.figures.unhandled(),
        workers=len(tx.figures.workers(ALIVE)),
    )


@router.get("/tokens")
async def list_tokens(parts: PartsOf, caller: Reader) -> TokenList:
    """All live tokens; their values are known to nobody."""
    _require(caller, Action.CONFIGURE)
    found = await parts.store.run(lambda tx: tx.people.tokens(), read=True)
    return TokenList(items=[TokenOut(**_token_fields(token)) for token in found])


@router.post("/tokens", status_code=201)
async def create_token(parts: PartsOf, caller: Writer, wish: TokenIn) -> NewTokenOut:
    """Makes a token and shows it this once."""
    _require(caller, Action.CONFIGURE)
    token = new_token()
    return await parts.store.run(lambda tx: _add(tx, caller, wish, token))


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(parts: PartsOf, caller: Writer, token_id: int) -> None:
    """Ends a token at once."""
    _require(caller, Action.CONFIGURE)
    await parts.store.run(lambda tx: _revoke(tx, parts, caller, token_id))


def _add(tx: Transaction, caller: Caller, wish: TokenIn, token: str) -> NewTokenOut:
    key = wish.person or person_key(TOKEN, "", wish.name)
    role = "" if wish.person else wish.role.value
    tx.people.add_token(wish.name, digest(token), " ".join(sorted(set(wish.scopes))), key, role)
    tx.people.audit(actor_of(caller.person), "token.create", wish.name, {"person": key, "scopes": wish.scopes})
    made = tx.people.tokens()[-1]
    return NewTokenOut(**_token_fields(made), token=token)


def _revoke(tx: Transaction, parts: Parts, caller: Caller, token_id: int) -> None:
    if not 0 < token_id < 2**31 or not tx.people.revoke_token(token_id):
        raise ApiError(404, "unknown_token", f"There is no live token {token_id}.", "`codetask token list` shows them.")
    tx.people.audit(actor_of(caller.person), "token.revoke", str(token_id), {})


def _token_fields(token: TokenInfo) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "person": token.person_id,
        "role": token.role,
        "created_at": token.created_at,
    }


def _require(caller: Caller, action: Action) -> None:
    if not may(caller.role, action, is_requester=False):
        raise ApiError(403)
