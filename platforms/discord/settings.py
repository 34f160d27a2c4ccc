"""What Discord needs to be set."""

from typing import ClassVar

from pydantic import Field, SecretStr

from bot.settings import PlatformSettings


class DiscordSettings(PlatformSettings):
    """Discord: on when DISCORD_TOKEN is set."""

    asked: ClassVar[tuple[str, ...]] = ("discord_token",)

    discord_token: SecretStr | None = Field(None, description="The bot's token, from the application's page Bot.")
    codetask_discord_api_url: str = Field(
        "https://discord.com/api/v10", description="Discord's address; tests set another."
    )
    codetask_discord_gateway_url: str = Field(
        "wss://gateway.discord.gg/", description="Discord's gateway; tests set another."
    )

    @property
    def configured(self) -> bool:
        return self.discord_token is not None


SETTINGS = DiscordSettings
