"""The Slack simulator's signed sender, its response URLs and its forms."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from platforms.slack.simulator import SlackSimulator


class Receiver:
    """An app's request URL: keeps what it got, answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        if b"url_verification" in body:
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        return self.answers.pop(0) if self.answers else web.Response()


@pytest.fixture
def sim() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator


@pytest.fixture
async def receiver(sim: SlackSimulator) -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/slack/events", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    sim.use_http(found.url)
    yield found
    await runner.cleanup()


@pytest.fixture
def client(sim: SlackSimulator) -> AsyncWebClient:
    return AsyncWebClient(token=sim.bot_token, base_url=sim.api_url, retry_handlers=[])


class SimulatedSeconds(Clock):
    def __init__(self, sim: SlackSimulator) -> None:
        self.sim = sim

    def now(self) -> float:
        return self.sim.clock.now().timestamp()


async def test_url_verification(sim: SlackSimulator, receiver: Receiver) -> None:
    assert await sim.verify_request_url()


async def test_payloads_are_signed_as_the_real_verifier_wants(sim: SlackSimulator, receiver: Receiver) -> None:
    event = sim.deliveries_of(sim.user_says("bo", "grüße"))[0]
    command = sim.runs_command("bo", "/codetask fix it")
    await sim.wait_for(lambda: event.acked and command.acked)
    click_target = sim.user_says("bo", "shortcut me")
    shortcut = sim.uses_shortcut("ana", click_target)
    await sim.wait_for(lambda: shortcut.acked and all(d.over for d in sim.deliveries))
    verifier = SignatureVerifier(sim.signing_secret, SimulatedSeconds(sim))
    bodies = dict.fromkeys(
        (headers["Content-Type"], body)
        for headers, body in receiver.requests
        if verifier.is_valid_request(body, headers)
    )
    assert len(bodies) == len(receiver.requests) == 4
    forms = [parse_qs(body.decode()) for kind, body in bodies if kind == "application/x-www-form-urlencoded"]
    assert forms[0]["command"] == ["/codetask"]
    assert json.loads(forms[1]["payload"][0])["callback_id"] == "codetask_file"
    assert command.attempts[0].status == 200 and command.latency_ms is not None


async def test_a_500_is_sent_again_with_retry_headers(sim: SlackSimulator, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=500), web.Response(status=503), web.Response()]
    event = sim.deliveries_of(sim.user_says("bo", "hello"))[0]
    await sim.wait_for(lambda: event.state == "waiting" and len(event.attempts) == 2)
    sim.advance(timedelta(minutes=1))
    await sim.wait_for(lambda: event.acked)
    retries = [headers.get("X-Slack-Retry-Num") for headers, _ in receiver.requests]
    reasons = [headers.get("X-Slack-Retry-Reason") for headers, _ in receiver.requests]
    assert (retries, reasons) == ([None, "1", "2"], [None, "http_error", "http_error"])
    assert [attempt.status for attempt in event.attempts] == [500, 503, 200]


async def test_no_retry_on_request(sim: SlackSimulator, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=500, headers={"X-Slack-No-Retry": "1"})]
    event = sim.deliveries_of(sim.user_says("bo", "hello"))[0]
    await sim.wait_for(lambda: event.state == "lost")
    assert len(event.attempts) == 1


async def test_a_failing_command_is_told_to_the_person_and_not_sent_again(
    sim: SlackSimulator, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=404)]
    command = sim.runs_command("bo", "/codetask fix it")
    await sim.wait_for(lambda: command.over)
    assert (command.state, command.error, len(command.attempts)) == ("lost", "dispatch_failed", 1)


async def test_an_answer_in_the_body_is_whispered(sim: SlackSimulator, receiver: Receiver) -> None:
    receiver.answers = [web.json_response({"text": "private"}), web.json_response({"text": "x", "odd": 1})]
    first = sim.runs_command("bo", "/codetask fix it")
    await sim.wait_for(lambda: first.over)
    second = sim.runs_command("bo", "/codetask fix it")
    await sim.wait_for(lambda: second.over)
    assert [w.text for w in sim.whispers] == ["private", "x"]
    assert sim.surprises[0].what == "unknown fields: odd"


async def post(url: str, body: Any) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session, session.post(url, data=data) as answer:
        return answer.status, await answer.text()


async def test_a_response_url_works_five_times(sim: SlackSimulator, receiver: Receiver) -> None:
    command = sim.runs_command("bo", "/codetask fix it", "lounge")
    assert await post(command.response_url, b"no json") == (400, "invalid_payload")
    assert await post(command.response_url, {"text": ""}) == (400, "no_text")
    assert await post(command.response_url, {"text": "x", "blocks": [{"type": "odd"}]}) == (400, "invalid_blocks")
    assert await post(command.response_url, {"text": "for all", "response_type": "in_channel"}) == (200, "ok")
    for number in range(4):
        assert await post(command.response_url, {"text": f"{number}"}) == (200, "ok")
    assert await post(command.response_url, {"text": "one too many"}) == (404, "used_url")
    assert [w.text for w in sim.whispers] == ["0", "1", "2", "3"]
    assert [(m.text, m.channel) for m in sim.sent] == [("for all", sim.channel("lounge").id)]
    assert await post(command.response_url + "x", {"text": "x"}) == (404, "no_service")


async def test_a_response_url_works_for_thirty_minutes(sim: SlackSimulator, receiver: Receiver) -> None:
    command = sim.runs_command("bo", "/codetask fix it")
    sim.fail_next("response_url", status=500)
    assert (await post(command.response_url, {"text": "x"}))[0] == 500
    sim.advance(timedelta(minutes=29))
    assert await post(command.response_url, {"text": "x"}) == (200, "ok")
    sim.advance(timedelta(minutes=2))
    assert await post(command.response_url, {"text": "x"}) == (404, "expired_url")


async def test_a_button_answer_replaces_or_deletes_its_message(
    sim: SlackSimulator, receiver: Receiver, client: AsyncWebClient
) -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "value": "v"}
    await client.chat_postMessage(
        channel=sim.channel("general").id, text="x", blocks=[{"type": "actions", "elements": [button]}]
    )
    press = sim.clicks("bo", sim.sent[0], "Go")
    with pytest.raises(LookupError, match="there are: Go"):
        sim.clicks("bo", sim.sent[0], "Stop")
    assert await post(press.response_url, {"text": "done", "replace_original": True}) == (200, "ok")
    assert (sim.sent[0].text, sim.sent[0].blocks) == ("done", [])
    assert await post(press.response_url, {"delete_original": True}) == (200, "ok")
    assert sim.sent[0].deleted


async def test_a_form_is_opened_sent_back_and_closed(
    sim: SlackSimulator, receiver: Receiver, client: AsyncWebClient
) -> None:
    element = {"type": "plain_text_input", "action_id": "text"}
    field = {"type": "input", "block_id": "what", "label": {"type": "plain_text", "text": "What"}, "element": element}
    option = {"text": {"type": "plain_text", "text": "High"}, "value": "high"}
    choice = {"type": "static_select", "action_id": "level", "options": [option]}
    second = {"type": "input", "block_id": "how", "label": {"type": "plain_text", "text": "How"}, "element": choice}
    words = {name: {"type": "plain_text", "text": name} for name in ("title", "submit")}
    command = sim.runs_command("bo", "/codetask")
    await sim.wait_for(lambda: command.acked)  # it must not take the answer meant for the form
    opened = await client.views_open(
        trigger_id=command.trigger_id, view={"type": "modal", **words, "blocks": [field, second], "callback_id": "f"}
    )
    view = sim.views[0]
    assert opened["view"]["id"] == view.id and view.id.startswith("V")
    receiver.answers = [web.json_response({"response_action": "errors", "errors": {"what": "Say more"}})]
    with pytest.raises(LookupError, match="no field Who"):
        sim.submits_form("bo", view, {"Who": "me"})
    with pytest.raises(LookupError, match="complete the field 'How'"):
        sim.submits_form("bo", view, {"what": "x"})
    first = sim.submits_form("bo", view, {"What": "x", "level": "high"})
    await sim.wait_for(lambda: first.acked)
    assert (json.loads(first.error), view.open) == ({"what": "Say more"}, True)
    again = sim.submits_form("bo", view, {"what": "more", "level": "high"})
    await sim.wait_for(lambda: again.acked)
    assert not view.open
    values = first.payload["view"]["state"]["values"]
    assert values["what"]["text"] == {"type": "plain_text_input", "value": "x"}
    assert values["how"]["level"]["selected_option"]["value"] == "high"
    with pytest.raises(LookupError, match="closed"):
        sim.submits_form("bo", view, {})
