"""Why a sandbox may not be used here, in words for the operator. The keys are those of the text catalogue."""

from types import MappingProxyType
from typing import Final

from bot.ports import SandboxRefused

REFUSALS: Final = MappingProxyType(
    {
        "sandbox.not_installed": (
            "No sandbox available: bubblewrap is not installed. Install it (apt install bubblewrap | dnf install "
            "bubblewrap). To run agents without isolation on a disposable machine set SANDBOX=none; pushing stays "
            "disabled until ALLOW_UNSANDBOXED_PUSH=true."
        ),
        "sandbox.no_prlimit": "The sandbox needs prlimit to limit processes. Install util-linux.",
        "sandbox.self_test": (
            "Sandbox self-test failed at {probe}: expected {expected}, got {got}. Nothing is claimed until it passes; "
            "run codetask doctor."
        ),
        "sandbox.no_namespaces": "The kernel allows no more user namespaces. Raise user.max_user_namespaces.",
        "sandbox.apparmor": (
            "AppArmor blocks user namespaces for bwrap. Add a profile with userns, or set "
            "kernel.apparmor_restrict_unprivileged_userns=0."
        ),
        "sandbox.root": (
            "The sandbox cannot be started by root: process limits do not hold. Run the worker as a normal user."
        ),
        "sandbox.start": "bubblewrap could not start: {detail}. Run codetask doctor.",
        "sandbox.unavailable": "SANDBOX={kind} is not available in this version. Use auto, bubblewrap or none.",
        "sandbox.unknown": "SANDBOX={kind} is not known. Use auto, bubblewrap or none.",
    }
)


def refuse(key: str, **values: object) -> SandboxRefused:
    """The refusal of that key with its values filled in."""
    return SandboxRefused(key, REFUSALS[key].format(**values))


def explain_start(stderr: str) -> SandboxRefused:
    """What bwrap's own error text means for the operator."""
    if "max_" in stderr and "namespaces exceeded" in stderr:
        return refuse("sandbox.no_namespaces")
    if "setting up uid map: Permission denied" in stderr:
        return refuse("sandbox.apparmor")
    return refuse("sandbox.start", detail=" ".join(stderr.split())[:300] or "no message")
