"""What Slack needs to be set."""

from typing import ClassVar, Literal

from pydantic import Field, SecretStr, model_validator

from bot.settings import PlatformSettings


class SlackSettings(PlatformSettings):
    """Slack: on when SLACK_BOT_TOKEN is set."""

    asked: ClassVar[tuple[str, ...]] = ("slack_bot_token", "slack_app_token")

    slack_bot_token: SecretStr | None = Field(None, description="xoxb-... of your own app.")
    slack_app_token: SecretStr | None = Field(None, description="xapp-... with connections:write (Socket Mode).")
    slack_signing_secret: SecretStr | None = Field(None, description="Signs requests in HTTP mode.")
    codetask_slack_api_url: str = Field("https://slack.com/api/", description="Slack's address; tests set another.")
    codetask_slack_transport: Literal["socket", "http"] = Field("socket", description="socket needs no public URL.")

    @property
    def configured(self) -> bool:
        return self.slack_bot_token is not None

    @model_validator(mode="after")
    def _pair(self) -> "SlackSettings":
        other = "slack_app_token" if self.codetask_slack_transport == "socket" else "slack_signing_secret"
        if self.configured and getattr(self, other) is None:
            raise ValueError(f"SLACK_BOT_TOKEN is set, so {other.upper()} is needed too")
        return self


SETTINGS = SlackSettings
