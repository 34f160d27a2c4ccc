"""What the app answers to an interaction: the body of an ack, and posts to a `response_url`."""

import json
from typing import Any

from aiohttp import web

from platforms.simulation import FaultPlan
from platforms.slack.simulator.chat import Chat, check_content
from platforms.slack.simulator.delivery import Delivery
from platforms.slack.simulator.events import message_json
from platforms.slack.simulator.state import ResponseUrl, World
from platforms.slack.simulator.webapi import ApiError, Call

Json = dict[str, Any]
_FIELDS = {
    "text",
    "blocks",
    "attachments",
    "response_type",
    "replace_original",
    "delete_original",
    "thread_ts",
    "unfurl_links",
    "unfurl_media",
    "mrkdwn",
    "metadata",
    "parse",
    "link_names",
}


class Answers:
    """Turns answers of the app into whispers, messages and closed forms."""

    def __init__(self, world: World, chat: Chat, faults: FaultPlan, calls: list[Call]) -> None:
        self.world = world
        self.chat = chat
        self.faults = faults
        self.calls = calls

    def acked(self, delivery: Delivery, body: Any) -> None:
        """A slash command's ack may carry a message, a form's ack its errors."""
        if not isinstance(body, dict) or not body:
            return
        if delivery.kind == "slash_commands":
            target = ResponseUrl("", delivery.channel, delivery.user, self.world.clock.now())
            try:
                self._say(target, body, "ack")
            except ApiError as refusal:
                delivery.error = refusal.code
                self.world.surprise(delivery.name, f"an ack that cannot be shown: {refusal.code}")
        elif "response_action" in body:
            self._form(delivery, body)
        elif delivery.payload.get("type") != "block_suggestion":
            self.world.surprise(delivery.name, f"an ack with a body nobody reads: {sorted(body)}")

    def _form(self, delivery: Delivery, body: Json) -> None:
        view = self.world.views[delivery.payload["view"]["id"]]
        if body["response_action"] == "errors":
            errors, fields = body.get("errors"), {b["block_id"] for b in view.body["blocks"] if b["type"] == "input"}
            if not isinstance(errors, dict) or not errors or set(errors) - fields:
                self.world.surprise(delivery.name, f"errors of fields that are not there: {errors}")
                return
            view.open = True
            delivery.error = json.dumps(errors, sort_keys=True)
        elif body["response_action"] not in ("clear", "update", "push"):
            self.world.surprise(delivery.name, f"unknown response_action {body['response_action']}")

    async def hook(self, request: web.Request) -> web.Response:
        """`POST` to a response URL: 5 uses within 30 minutes."""
        body = await request.text()
        call = Call("response_url", {}, self.world.clock.now())
        self.calls.append(call)
        fault = self.faults.take("response_url")
        if fault is not None and fault.status is not None:
            call.status, call.error = fault.status, f"http_{fault.status}"
            return web.Response(status=fault.status, text="error")
        status, text = self._use(request.match_info["token"], body, call)
        call.status, call.error = status, "" if status == 200 else text
        self.world.changed()
        return web.Response(status=status, text=text)

    def _use(self, token: str, body: str, call: Call) -> tuple[int, str]:
        url = self.world.response_urls.get(token)
        if url is None:
            return 404, "no_service"
        if url.expires_at < self.world.clock.now():
            return 404, "expired_url"
        if url.uses_left <= 0:
            return 404, "used_url"
        try:
            fields = json.loads(body)
        except ValueError:
            return 400, "invalid_payload"
        if not isinstance(fields, dict):
            return 400, "invalid_payload"
        call.arguments.update(fields)
        try:
            self._say(url, fields, "response_url")
        except ApiError as refusal:
            return 400, refusal.code
        url.uses_left -= 1
        return 200, "ok"

    def _say(self, url: ResponseUrl, fields: Json, via: Any) -> None:
        unknown = sorted(set(fields) - _FIELDS)
        if unknown:
            self.world.surprise(via, f"unknown fields: {', '.join(unknown)}")
        original = self.world.message(url.channel, url.original) if url.original else None
        if fields.get("delete_original"):
            if original is not None:
                self.chat.remove(original)
            return
        text, blocks = check_content(fields)
        if fields.get("replace_original") and original is not None:
            self.chat.revise(original, text, blocks, message_json(self.world, original))
        elif fields.get("response_type") == "in_channel":
            channel = self.world.channels[url.channel]
            thread_ts = self.chat.thread(channel, fields.get("thread_ts"))
            self.chat.publish(self.chat.own_message(channel, text, blocks, thread_ts, fields))
        else:
            self.chat.whisper(url.channel, url.user, text, blocks, fields.get("thread_ts"), via)
