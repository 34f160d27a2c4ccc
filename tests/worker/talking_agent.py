"""A fake ACP agent that remembers its conversations in its state folder. Run as a script; standard library only.

Arguments: the ways of resuming it offers, with commas (`resume`, `load`, `none`), and `calm` to never hang. It does
what the words of the request say (`do:write`, `do:note`, `do:file=NAME`, `do:list`, `do:hang`, `do:exit`, `do:poison`,
`do:tell`, `do:long`) and tells what it has heard in the conversation so far.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

WAYS = sys.argv[1].split(",")
STATE = Path(os.environ["STATE"]) if os.environ.get("STATE") else None
OPEN, CLOSE = "===== request =====", "===== end of request ====="

if STATE is not None and (STATE / "poison").exists():
    sys.exit(1)


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def reply(request, result):
    send({"id": request["id"], "result": result})


def refuse(request, why):
    send({"id": request["id"], "error": {"code": -32603, "message": why}})


def say(session, text):
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send({"method": "session/update", "params": {"sessionId": session, "update": update}})


class Memory:
    """The conversations, on disk where there is a folder for them."""

    def __init__(self):
        self.lost = {}

    def read(self, session):
        if STATE is None:
            return self.lost.get(session)
        file = STATE / f"{session}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def write(self, session, heard):
        self.lost[session] = heard
        if STATE is not None:
            (STATE / f"{session}.json").write_text(json.dumps(heard))


MEMORY = Memory()
HANGING = []


def on_prompt(request):
    session = request["params"]["sessionId"]
    prompt = request["params"]["prompt"][0]["text"]
    asked = prompt.split(OPEN)[-1].split(CLOSE)[0].strip()
    heard = [*MEMORY.read(session), asked]
    MEMORY.write(session, heard)
    if "do:write" in asked:
        Path("changed.txt").write_text("by the agent")
    if "do:note" in asked:
        Path("note.txt").write_text(asked)
    for name in [word.removeprefix("do:file=") for word in asked.split() if word.startswith("do:file=")]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("one\ntwo\n")
    if "do:exit" in asked:
        sys.exit(3)
    if "do:poison" in asked:
        (STATE / "poison").write_text("")
    if "do:hang" in asked and "calm" not in sys.argv:
        subprocess.Popen(["sleep", "4321"], start_new_session=True)
        HANGING.append(request)
        send({"method": "session/update", "params": {"sessionId": session, "update": {
            "sessionUpdate": "tool_call", "toolCallId": "t", "title": "Waiting", "kind": "execute"}}})  # fmt: skip
        return
    text = f"heard {len(heard)}: {' | '.join(heard)}"
    if "do:list" in asked:
        text += " files: " + " ".join(sorted(p.name for p in Path.cwd().iterdir() if not p.name.startswith(".")))
    if "do:tell" in asked:
        text += " told: " + " ".join(prompt.split())
    if "do:long" in asked:
        text += "\n\n".join(f"Paragraph {number} " + "word " * 200 for number in range(40))
    say(session, text)
    reply(request, {"stopReason": "end_turn"})


def on_open_again(request, replay):
    session = request["params"]["sessionId"]
    heard = MEMORY.read(session)
    if heard is None:
        return refuse(request, "no such session")
    if replay:
        for old in heard:
            say(session, f"REPLAYED {old}")
    return reply(request, {})


def answer(request):
    method = request.get("method")
    if method == "initialize":
        sessions = {"close": {}, **({"resume": {}} if "resume" in WAYS else {})}
        abilities = {"loadSession": "load" in WAYS, "sessionCapabilities": sessions}
        info = {"name": "talking", "version": "1"}
        reply(request, {"protocolVersion": 1, "agentInfo": info, "agentCapabilities": abilities})
    elif method == "session/new":
        session = f"s-{os.urandom(4).hex()}"
        MEMORY.write(session, [])
        reply(request, {"sessionId": session})
    elif method in ("session/resume", "session/load"):
        on_open_again(request, replay=method == "session/load")
    elif method == "session/close":
        reply(request, {})
    elif method == "session/cancel":
        for hanging in HANGING:
            reply(hanging, {"stopReason": "cancelled"})
    elif method == "session/prompt":
        on_prompt(request)


for line in sys.stdin:
    answer(json.loads(line))
