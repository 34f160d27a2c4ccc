"""What the HTTP side needs of the composition root: `bot.app.App` is one."""

from collections.abc import Mapping
from typing import Protocol

from bot.core.redact import LiveRedactor
from bot.ports import Forge, Platform
from bot.services.followups import FollowUps
from bot.services.intake.changes import Changes
from bot.services.intake.suggestions import Suggestions
from bot.services.merges import Merges
from bot.services.tasks import CodeTasks
from bot.settings import Settings
from bot.store import Store


class IntakeParts(Protocol):
    """What acts on suggestions."""

    @property
    def suggestions(self) -> Suggestions: ...

    @property
    def changes(self) -> Changes: ...


class Parts(Protocol):
    """The open store and the services over it."""

    @property
    def settings(self) -> Settings: ...

    @property
    def store(self) -> Store: ...

    @property
    def redactor(self) -> LiveRedactor: ...

    @property
    def tasks(self) -> CodeTasks: ...

    @property
    def followups(self) -> FollowUps: ...

    @property
    def intake(self) -> IntakeParts: ...

    @property
    def merges(self) -> Merges: ...

    @property
    def platforms(self) -> Mapping[str, Platform]: ...

    @property
    def forges(self) -> Mapping[str, Forge]: ...
