"""GitHub on loopback, wire level: REST API, App tokens, git over smart HTTP, webhooks, and faults on demand."""

from tests.simulators.github.faults import Fault
from tests.simulators.github.server import GitHubSimulator
from tests.simulators.github.state import App, Call, Push, StoredToken
from tests.simulators.github.webhooks import Delivery

__all__ = ["App", "Call", "Delivery", "Fault", "GitHubSimulator", "Push", "StoredToken"]
