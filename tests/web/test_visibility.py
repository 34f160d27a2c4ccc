"""Who sees what over HTTP, where nobody is in a channel: the rule of `bot.services.visibility`."""

from bot.core.inbound import Person, ThreadRef
from bot.core.people import TOKEN
from bot.services.followups import FollowUpSet, Wish
from bot.services.people import remember_talk
from bot.services.tasks import Filed, Filing
from bot.store import Transaction
from tests.stores import only_sqlite
from tests.web.house import Client, House

CHANNEL = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1", root="1.0")
TALK = CHANNEL.model_copy(update={"channel_id": "D1"})
ANA = Person(platform=TOKEN, workspace_id="", id="ana", name="ana", roles=frozenset({"filer"}))


def fill(tx: Transaction, house: House) -> None:
    """Ana's: a code task and a follow-up each in a channel, in a talk with the bot alone, and without a chat."""
    tx.people.see(ANA)
    tx.people.remember_repo(ANA, "web")
    remember_talk(tx, TALK, True)
    for place in (CHANNEL, TALK, None):
        thread = tx.threads.open(place).id if place else None
        filing = Filing(f"Fix the page of {place}", ANA, thread_id=thread, channel=place)
        assert isinstance(house.app.tasks.file(tx, filing), Filed)
        assert isinstance(house.app.followups.set(tx, Wish("look", tx.now, ANA, place, zone="UTC")), FollowUpSet)


async def listed(client: Client, what: str) -> list[str]:
    """The ids of the list, read one page after the other."""
    found: list[str] = []
    params = {"limit": "1"}
    while True:
        page = await client.ask("GET", what, 200, params=params)
        found += [one["id"] for one in page["items"]]
        if not page["next"]:
            return sorted(found)
        params["cursor"] = page["next"]


@only_sqlite
async def test_a_token_sees_ones_own_and_what_every_viewer_may_see(house: House) -> None:
    await house.app.store.run(lambda tx: fill(tx, house))
    ana, vera = await house.client(), await house.client("viewer", "read", person="token::vera")
    root = await house.client("admin", person="token::root")
    for client in (ana, root):
        assert await listed(client, "code-tasks") == ["CT-1", "CT-2", "CT-3"]
        assert await listed(client, "follow-ups") == ["FU-1", "FU-2", "FU-3"]
    assert await listed(vera, "code-tasks") == ["CT-1", "CT-3"]
    assert await listed(vera, "follow-ups") == ["FU-3"]


@only_sqlite
async def test_what_is_not_seen_is_as_if_it_were_not_there(house: House) -> None:
    await house.app.store.run(lambda tx: fill(tx, house))
    bob = await house.client(person="token::bob")
    acts = (("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", ""))
    for one in ("code-tasks/CT-2", "follow-ups/FU-1", "follow-ups/FU-2"):
        nowhere = f"{one[:-1]}99"
        for method, path in acts:
            hidden = await bob.ask(method, one + path, 404)
            missing = await bob.ask(method, nowhere + path, 404)
            assert hidden["message"].replace(one[-4:], "") == missing["message"].replace(nowhere[-5:], "")
