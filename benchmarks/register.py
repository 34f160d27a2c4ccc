"""The names of all benchmarks, in the order in which they run. Each is a module with `run(quick) -> list[Figure]`."""

NAMES = (
    "chat_ack",
    "stage_to_chat",
    "enqueue_to_claim",
    "claim_rate",
    "claim_at_scale",
    "followup_lateness",
    "intake_chatter",
    "worker_overhead",
    "idle",
    "cli_help",
    "redact",
    "peers",
)
