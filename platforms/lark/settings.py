"""What Lark (Feishu) needs to be set."""

from typing import ClassVar, Literal

from pydantic import Field, SecretStr, model_validator

from bot.settings import PlatformSettings


class LarkSettings(PlatformSettings):
    """Lark: on when LARK_APP_ID and LARK_APP_SECRET are set."""

    asked: ClassVar[tuple[str, ...]] = ("lark_app_id", "lark_app_secret")

    lark_app_id: str = Field("", description="cli_... of your own app.")
    lark_app_secret: SecretStr | None = Field(None, description="Its secret.")
    lark_encrypt_key: SecretStr | None = Field(None, description="Encrypts and signs events in webhook mode.")
    lark_verification_token: SecretStr | None = Field(None, description="Stands in every event in webhook mode.")
    codetask_lark_api_url: str = Field(
        "https://open.larksuite.com", description="Lark's address; Feishu: https://open.feishu.cn."
    )
    codetask_lark_transport: Literal["long", "webhook"] = Field("long", description="long needs no public URL.")

    @property
    def configured(self) -> bool:
        return bool(self.lark_app_id)

    @model_validator(mode="after")
    def _pairs(self) -> "LarkSettings":
        if self.configured != (self.lark_app_secret is not None):
            missing, given = (
                ("LARK_APP_SECRET", "LARK_APP_ID") if self.configured else ("LARK_APP_ID", "LARK_APP_SECRET")
            )
            raise ValueError(f"{given} is set, so {missing} is needed too")
        if self.configured and self.codetask_lark_transport == "webhook":
            for name in ("lark_encrypt_key", "lark_verification_token"):
                if getattr(self, name) is None:
                    raise ValueError(f"CODETASK_LARK_TRANSPORT=webhook needs {name.upper()}")
        return self


SETTINGS = LarkSettings
