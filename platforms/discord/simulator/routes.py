"""Which function carries out which operation of the REST API."""

from collections.abc import Callable
from typing import Any

from platforms.discord.simulator.api import Call
from platforms.discord.simulator.app import Application
from platforms.discord.simulator.channels import Channels
from platforms.discord.simulator.interactions import Interactions
from platforms.discord.simulator.messages import Messages
from platforms.discord.simulator.registered import Registered

Handler = Callable[[Call], Any]


def handlers(
    app: Application,
    messages: Messages,
    channels: Channels,
    registered: Registered,
    interactions: Interactions,
    gateway_url: Callable[[], str],
) -> dict[str, Handler]:
    """Operation id -> handler."""
    return {
        "get_gateway": lambda _: {"url": gateway_url()},
        "get_bot_gateway": lambda _: {
            "url": gateway_url(),
            "shards": 1,
            "session_start_limit": app.start_limit(),
        },
        "get_my_oauth2_application": lambda _: app.shown(),
        "get_my_application": lambda _: app.shown(),
        "list_application_commands": registered.read,
        "bulk_set_application_commands": registered.replace,
        **_places(channels),
        **_messages(messages),
        **_interactions(interactions),
    }


def _places(channels: Channels) -> dict[str, Handler]:
    return {
        "get_my_user": channels.get_me,
        "list_my_guilds": channels.list_my_guilds,
        "create_dm": channels.create_dm,
        "get_user": channels.get_user,
        "get_guild": channels.get_guild,
        "list_guild_channels": channels.list_channels,
        "list_guild_roles": channels.list_roles,
        "get_active_guild_threads": channels.active_threads,
        "get_guild_member": channels.get_member,
        "get_channel": channels.get_channel,
        "update_channel": channels.update_channel,
        "delete_channel": channels.delete_channel,
        "trigger_typing_indicator": channels.typing,
        "create_thread_from_message": channels.thread_from_message,
        "create_thread": channels.thread,
        "list_thread_members": channels.thread_members,
        "get_thread_member": channels.thread_member,
        "join_thread": channels.join_thread,
        "leave_thread": channels.leave_thread,
        "add_thread_member": channels.join_thread,
        "list_public_archived_threads": channels.archived_threads,
    }


def _messages(messages: Messages) -> dict[str, Handler]:
    return {
        "list_messages": messages.list_messages,
        "create_message": messages.create_message,
        "get_message": messages.get_message,
        "update_message": messages.update_message,
        "delete_message": messages.delete_message,
        "list_message_reactions_by_emoji": messages.list_reactions,
        "add_my_message_reaction": messages.add_reaction,
        "delete_my_message_reaction": messages.remove_reaction,
    }


def _interactions(interactions: Interactions) -> dict[str, Handler]:
    return {
        "create_interaction_response": interactions.callback,
        "execute_webhook": interactions.follow_up,
        "get_original_webhook_message": interactions.read,
        "update_original_webhook_message": interactions.edit,
        "delete_original_webhook_message": interactions.delete,
        "get_webhook_message": interactions.read,
        "update_webhook_message": interactions.edit,
        "delete_webhook_message": interactions.delete,
    }
