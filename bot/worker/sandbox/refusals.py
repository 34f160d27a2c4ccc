"""Why a sandbox may not be used here, in words for the operator: the texts `sandbox.<reason>`."""

from bot.core.texts import Texts
from bot.ports import SandboxRefused


def refuse(key: str, **values: object) -> SandboxRefused:
    """The refusal of that key with its values filled in."""
    return SandboxRefused(key, Texts.load().say(key, **values))


def explain_start(stderr: str) -> SandboxRefused:
    """What bwrap's own error text means for the operator."""
    if "max_" in stderr and "namespaces exceeded" in stderr:
        return refuse("sandbox.no_namespaces")
    if "setting up uid map: Permission denied" in stderr:
        return refuse("sandbox.apparmor")
    return refuse("sandbox.start", detail=" ".join(stderr.split())[:300] or "no message")
