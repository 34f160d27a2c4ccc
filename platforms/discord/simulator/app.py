"""The application as its developer set it up: token, intents, IDENTIFY budget."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from platforms.discord.simulator.catalog import IDENTIFY_BUDGET, PRIVILEGED, Intent
from platforms.discord.simulator.payloads import user_json
from platforms.discord.simulator.state import World

Json = dict[str, Any]
_LIMITED = {
    Intent.GUILD_PRESENCES: 1 << 13,
    Intent.GUILD_MEMBERS: 1 << 15,
    Intent.MESSAGE_CONTENT: 1 << 19,
}
"""Flags of an application in fewer than 100 guilds that has a privileged intent switched on."""


@dataclass
class Application:
    """`privileged` are the privileged intents switched on in the developer portal."""

    world: World
    token: str
    privileged: int = int(Intent.MESSAGE_CONTENT)
    revoked: bool = False
    interactions_endpoint_url: str | None = None
    identified: list[datetime] = field(default_factory=list)

    def valid(self, token: str) -> bool:
        return not self.revoked and token.removeprefix("Bot ") == self.token

    def missing_intents(self) -> int:
        """The privileged intents the application does not have."""
        return int(PRIVILEGED) & ~self.privileged

    @property
    def reads_content(self) -> bool:
        return bool(self.privileged & Intent.MESSAGE_CONTENT)

    @property
    def flags(self) -> int:
        return sum(flag for intent, flag in _LIMITED.items() if self.privileged & intent) | 1 << 23

    def count_identify(self) -> None:
        self.identified.append(self.world.clock.now())

    def identifies_left(self) -> int:
        """What is left of the daily budget."""
        now = self.world.clock.now()
        self.identified = [at for at in self.identified if now - at < timedelta(days=1)]
        return IDENTIFY_BUDGET - len(self.identified)

    def start_limit(self) -> Json:
        """`session_start_limit` of `GET /gateway/bot`."""
        left = self.identifies_left()
        now = self.world.clock.now()
        first = min(self.identified, default=now)
        reset = timedelta(days=1) - (now - first) if self.identified else timedelta(0)
        return {
            "total": IDENTIFY_BUDGET,
            "remaining": max(0, left),
            "reset_after": int(reset / timedelta(milliseconds=1)),
            "max_concurrency": 1,
        }

    def shown(self) -> Json:
        """The application as the REST API shows it."""
        bot, owner = self.world.bot, self.world.users[self.world.owner_id]
        return {
            "id": self.world.app_id,
            "name": bot.global_name,
            "icon": None,
            "description": "",
            "summary": "",
            "type": None,
            "bot": user_json(bot),
            "bot_public": False,
            "bot_require_code_grant": False,
            "owner": user_json(owner),
            "team": None,
            "verify_key": "0" * 64,
            "flags": self.flags,
            "hook": True,
            "rpc_origins": [],
            "redirect_uris": [],
            "interactions_endpoint_url": self.interactions_endpoint_url,
            "role_connections_verification_url": None,
            "approximate_guild_count": int(self.world.in_guild),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0,
            "eligible_oauth2_scopes": ["applications.commands", "bot"],
            "flags_new": str(self.flags),
            "install_params": {"scopes": ["bot", "applications.commands"], "permissions": "309237713984"},
            "integration_types_config": {"0": {}},
            "event_webhooks_status": 1,
        }
