"""The other methods: reactions, people, modals and home tabs, the activity line, and the app's own identity."""

import copy
from datetime import timedelta
from typing import Any

from platforms.slack.simulator.chat import Chat, name_blocks
from platforms.slack.simulator.events import Events
from platforms.slack.simulator.kit import MAX_VIEW_BLOCKS, block_problems, plain, shape, text_up_to
from platforms.slack.simulator.state import Activity, Reacted, StoredMessage, User, View, World
from platforms.slack.simulator.webapi import ApiError, Credentials, missing

Json = dict[str, Any]
ACTIVITY_LIFE = timedelta(minutes=2)


def _free(value: Any, where: str) -> Any:
    return iter(())


_VIEW_FIELDS = {
    "blocks": _free,
    "private_metadata": text_up_to(3000, 0),
    "callback_id": text_up_to(255),
    "external_id": text_up_to(255),
    "clear_on_close": _free,
    "notify_on_close": _free,
}
_VIEWS = {
    "modal": shape({"title": plain(24), "blocks": _free}, {**_VIEW_FIELDS, "submit": plain(24), "close": plain(24)}),
    "home": shape({"blocks": _free}, _VIEW_FIELDS),
}


class Surfaces:
    """The methods over one world that are neither `chat.*` nor `conversations.*`."""

    def __init__(self, world: World, chat: Chat, events: Events, credentials: Credentials) -> None:
        self.world = world
        self.chat = chat
        self.events = events
        self.credentials = credentials

    def auth_test(self, arguments: Json) -> Json:
        world = self.world
        return {
            "url": f"https://{world.team_domain}.slack.com/",
            "team": world.team_name,
            "user": world.bot.name,
            "team_id": world.team_id,
            "user_id": world.bot.id,
            "bot_id": world.bot.bot_id,
            "is_enterprise_install": False,
        }

    def bots_info(self, arguments: Json) -> Json:
        bot = self.world.bot
        if str(arguments.get("bot") or "") != bot.bot_id:
            raise ApiError("bot_not_found")
        shown = {"id": bot.bot_id, "deleted": False, "name": bot.name, "updated": 1_700_000_000}
        return {"bot": shown | {"app_id": self.world.app_id, "user_id": bot.id, "icons": {}}}

    def react(self, arguments: Json, added: bool) -> Json:
        message = self._reactable(arguments)
        name = str(arguments["name"])
        who = message.reactions.get(name, [])
        if added == (self.world.bot.id in who):
            raise ApiError("already_reacted" if added else "no_reaction")
        self.mark(message, self.world.bot.id, name, added)
        return {}

    def mark(self, message: StoredMessage, user: str, name: str, added: bool) -> None:
        """Stores one reaction and tells the app of it."""
        who = message.reactions.setdefault(name, [])
        if added:
            who.append(user)
        else:
            who.remove(user)
        if not who:
            del message.reactions[name]
        self.world.reactions.append(Reacted(self.world.clock.now(), message.channel, message.ts, user, name, added))
        self.world.tell("reacted", message.channel, user, f":{name}:" if added else f"-:{name}:", message)
        self.events.reacted(message, user, name, added)

    def users_info(self, arguments: Json) -> Json:
        user = self.world.users.get(str(arguments["user"]))
        if user is None:
            raise ApiError("user_not_found")
        return {"user": _user_json(user, bool(arguments.get("include_locale")))}

    def usergroups_list(self, arguments: Json) -> Json:
        shown: list[Json] = []
        for id, (handle, members) in self.world.usergroups.items():
            group: Json = {"id": id, "team_id": self.world.team_id, "is_usergroup": True, "is_subteam": True}
            group |= {"name": handle.capitalize(), "handle": handle, "date_delete": 0, "user_count": len(members)}
            if str(arguments.get("include_users") or "").lower() in ("1", "true"):
                group["users"] = list(members)
            shown.append(group)
        return {"usergroups": shown}

    def views_open(self, arguments: Json) -> Json:
        trigger = self.world.triggers.get(str(arguments.get("trigger_id") or ""))
        if not arguments.get("trigger_id"):
            raise missing("views.open", "trigger_id")
        if trigger is None:
            raise ApiError("invalid_trigger_id")
        if trigger.expires_at < self.world.clock.now():
            raise ApiError("expired_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        body = self._checked(arguments["view"], ("modal",))
        trigger.used = True
        return {"view": self._show(View(self.world.ids.new("V"), trigger.user, body, "")).body}

    def views_update(self, arguments: Json) -> Json:
        known = self.world.views
        view = known.get(str(arguments.get("view_id"))) or next(
            (
                v
                for v in known.values()
                if v.body.get("external_id") and v.body["external_id"] == arguments.get("external_id")
            ),
            None,
        )
        if view is None or not view.open:
            raise ApiError("not_found")
        if arguments.get("hash") and arguments["hash"] != view.hash:
            raise ApiError("hash_conflict")
        view.body = self._checked(arguments["view"], ("modal",))
        return {"view": self._show(view).body}

    def views_publish(self, arguments: Json) -> Json:
        user = str(arguments["user_id"])
        if user not in self.world.users:
            raise ApiError("user_not_found")
        body = self._checked(arguments["view"], ("home",))
        known = self.world.homes.get(user)
        if known is not None and arguments.get("hash") and arguments["hash"] != known.hash:
            raise ApiError("hash_conflict")
        view = known or View(self.world.ids.new("V"), user, body, "")
        view.body = body
        self.world.homes[user] = view
        return {"view": self._show(view).body}

    def set_status(self, arguments: Json) -> Json:
        channel = self.chat.known(str(arguments["channel_id"]))
        thread_ts = str(arguments["thread_ts"])
        if self.world.message(channel.id, thread_ts) is None:
            raise ApiError("invalid_thread_ts")
        lines = arguments.get("loading_messages") or []
        if not isinstance(lines, list) or len(lines) > 10:
            raise ApiError("invalid_arguments")
        self._activity(channel.id, thread_ts, str(arguments.get("status") or ""), lines)
        return {}

    def activity(self, channel: str, thread_ts: str) -> str:
        """The status line a person sees under a thread now; empty after two minutes and after a message."""
        shown = [a for a in self.world.activities if (a.channel, a.thread_ts) == (channel, thread_ts)]
        if not shown or self.world.clock.now() - shown[-1].at > ACTIVITY_LIFE:
            return ""
        later = [m for m in self.world.replies(channel, thread_ts) if m.user == self.world.bot.id]
        return "" if any(m.at > shown[-1].at for m in later) else shown[-1].status

    def _activity(self, channel: str, thread_ts: str, status: str, lines: list[str]) -> None:
        self.world.activities.append(Activity(self.world.clock.now(), channel, thread_ts, status, lines))
        self.world.changed()

    def _reactable(self, arguments: Json) -> StoredMessage:
        if not arguments.get("channel") or not arguments.get("timestamp"):
            raise ApiError("no_item_specified")
        name = str(arguments["name"])
        if not name or set(name) & set(": "):
            raise ApiError("invalid_name")
        channel = self.chat.writable(str(arguments["channel"]))
        message = self.world.message(channel.id, str(arguments["timestamp"]))
        if message is None:
            raise ApiError("message_not_found")
        return message

    def _checked(self, view: Any, kinds: tuple[str, ...]) -> Json:
        if not isinstance(view, dict) or view.get("type") not in kinds:
            raise ApiError("invalid_arguments", response_metadata={"messages": ["[ERROR] must be a valid view"]})
        problems = list(_VIEWS[view["type"]](view, "/view"))
        problems += block_problems(view.get("blocks"), limit=MAX_VIEW_BLOCKS, in_view=True)
        inputs = any(b.get("type") == "input" for b in view.get("blocks") or [] if isinstance(b, dict))
        if view["type"] == "modal" and inputs and "submit" not in view:
            problems.append("[ERROR] missing required field: submit [json-pointer:/view]")
        if problems:
            raise ApiError("invalid_arguments", response_metadata={"messages": problems})
        return copy.deepcopy(view)

    def _show(self, view: View) -> View:
        world = self.world
        view.hash = f"{int(world.clock.now().timestamp())}.{world.ids.secret(8)}"
        view.body |= {
            "id": view.id,
            "team_id": world.team_id,
            "app_id": world.app_id,
            "app_installed_team_id": world.team_id,
            "bot_id": world.bot.bot_id,
            "hash": view.hash,
            "root_view_id": view.id,
            "previous_view_id": None,
            "state": {"values": {}},
            "blocks": name_blocks(world, view.body["blocks"]),
        }
        world.views[view.id] = view
        world.changed()
        return view


def _user_json(user: User, locale: bool) -> Json:
    shown: Json = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": user.deleted,
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": user.tz_label,
        "tz_offset": user.tz_offset,
        "profile": {"real_name": user.real_name, "display_name": user.name, "team": user.team_id},
        "is_admin": user.is_admin,
        "is_owner": user.is_owner,
        "is_primary_owner": user.is_owner,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_stranger": user.is_stranger,
        "updated": 1_700_000_000,
    }
    return shown | ({"locale": user.locale} if locale else {})
