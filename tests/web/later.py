"""Follow-ups in each state, and lists of them."""

from typing import Any

from tests.web.house import Client, House


async def bring(house: House, client: Client, state: str, **changed: Any) -> str:
    """A follow-up in that state; its id."""
    if state == "pending":
        return (await client.later(**changed))["id"]
    made = await client.later(run_now=True, **changed)
    if state == "cancelled":
        await client.ask("POST", f"follow-ups/{made['id']}/cancel", 200)
        return made["id"]
    await house.fire()
    if state == "success":
        await house.answer("All green.\n\nNothing to do.")
    elif state == "failed":
        await house.fail()
    assert (await client.ask("GET", f"follow-ups/{made['id']}", 200))["state"] == state
    return made["id"]


async def ids(client: Client, **asked: Any) -> list[str]:
    return [one["id"] for one in (await client.ask("GET", "follow-ups", 200, params=asked))["items"]]
