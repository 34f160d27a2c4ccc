"""What every agent is told of the tools that act for its run (product promise P30)."""

from collections.abc import Sequence
from typing import Final

_FOLLOW_UPS: Final = """\
Coming back later. If something needs more than 2 minutes of waiting (a deploy, a build, a review, a date), do not wait,
sleep or poll: set a follow-up. At that time you are started again in this chat thread with this conversation, and your
answer is posted there. Any scheduler of your own ends with this run.
- With tools (MCP server `codetask`; your list may show them as `codetask_schedule_followup` or
  `mcp__codetask__schedule_followup`): schedule_followup(when, message, title?, agent?), list_followups(),
  cancel_followup(id).
- In a shell: codetask followup create WHEN MESSAGE, codetask followup list, codetask followup cancel FU-7.
The thread follows from your run; no thread, channel or person can be named. Two examples:
  schedule_followup(when="in 2h", message="Check whether the deploy of this change is healthy; report what is not.")
  codetask followup create "tomorrow 9am" "See whether the nightly build passed; if not, say what failed."
"""

_QUESTIONS: Final = """\
Asking. For what you cannot find out and may not decide yourself, ask the people in the thread:
ask_user(question, choices?), or codetask ask "Which color?" --choice red --choice blue in a shell. The answer can take
up to 1 hour; if it says "waiting", ask the same question again. Never ask in your last message: nobody answers that.
"""


def tools_section(offered: Sequence[str]) -> list[str]:
    """The blocks of a prompt that say when and how to set a follow-up and to ask; none where that is not offered."""
    told = {"schedule_followup": _FOLLOW_UPS, "ask_user": _QUESTIONS}
    return [text.strip() for tool, text in told.items() if tool in offered]
