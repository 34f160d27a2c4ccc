"""What the notice board needs to be set."""

from typing import ClassVar

from pydantic import Field

from bot.settings import PlatformSettings


class PaperSettings(PlatformSettings):
    """Paper: on when PAPER_BOARD is set."""

    asked: ClassVar[tuple[str, ...]] = ("paper_board",)

    paper_board: str = Field("", description="Which board to hang on.")

    @property
    def configured(self) -> bool:
        return bool(self.paper_board)


SETTINGS = PaperSettings
