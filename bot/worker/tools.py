"""What a worker works with."""

from dataclasses import dataclass

from bot.core.redact import LiveRedactor
from bot.ports import Agent, Forge, Sandbox
from bot.services.attempts import Attempts
from bot.services.followup_runs import FollowUpRuns
from bot.settings import Settings
from bot.store import Store
from bot.worker.callbacks import Callbacks
from bot.worker.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker works with. `forges` by kind, `agents` by name."""

    settings: Settings
    store: Store
    attempts: Attempts
    sandbox: Sandbox
    agents: dict[str, Agent]
    forges: dict[str, Forge]
    gateway: Gateway | None
    redactor: LiveRedactor
    followup_runs: FollowUpRuns | None = None
    """None where follow-ups are off."""
    callbacks: Callbacks | None = None

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the tools that act for a run."""
        return self.callbacks.tools.offered() if self.callbacks is not None else ()
