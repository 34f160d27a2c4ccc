"""A fake ACP agent with a chosen vice. Run as a script; standard library only."""

import json
import os
import subprocess
import sys
import time

VICE = sys.argv[1]
CAPABILITIES = {"loadSession": VICE in ("load", "load_only"), "sessionCapabilities": {"close": {}}}
if VICE in ("resume", "resume_refused", "resume_mute"):
    CAPABILITIES["sessionCapabilities"]["resume"] = {}


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def update(**fields):
    send({"method": "session/update", "params": {"sessionId": "s1", "update": fields}})


def say(text):
    update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})


def never():
    while True:
        time.sleep(3600)


def on_prompt(request):
    stop = "end_turn"
    if "NOTES" in os.environ:
        with open(os.path.join(os.environ["NOTES"], "asked"), "w") as file:
            file.write(request["params"]["prompt"][0]["text"])
    if VICE == "junk":
        sys.stdout.write('not json\n[1,2]\n"x"\n{"a":1}\n\xff\n' + "[" * 100_000 + "\n")
        send({"method": "x/unknown", "params": {}})
        send({"method": "session/update", "params": []})
        update(sessionUpdate="unheard_of", what=1)
        update(sessionUpdate="tool_call", toolCallId=5, title={}, kind=[])
        update(sessionUpdate="agent_message_chunk", content="text")
        send({"id": 99, "method": "fs/read_text_file", "params": {"sessionId": "s1", "path": "/etc/passwd"}})
        send({"id": 98, "method": "session/request_permission", "params": {"nonsense": True}})
        say("through the dirt")
    elif VICE == "order":
        for number in range(50):
            say(f"{number} ")
    elif VICE == "big":
        say("x" * 3_000_000)
    elif VICE == "flood":
        while True:
            sys.stdout.write("y" * 1_000_000)
    elif VICE == "stop_reason":
        stop = "because"
    elif VICE == "eof":
        sys.stderr.write("fatal: out of luck\n")
        sys.exit(7)
    elif VICE == "silent":
        never()
    elif VICE == "chatty":
        while True:
            say(".")
            time.sleep(0.01)
    elif VICE == "error_auth":
        return send({"id": request["id"], "error": {"code": -32603, "message": "401 invalid api key"}})
    elif VICE == "permission":
        options = [
            {"optionId": "no", "name": "No", "kind": "reject_once"},
            {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
        ]
        call = {"toolCallId": "t", "title": "rm"}
        send(
            {
                "id": 7,
                "method": "session/request_permission",
                "params": {"sessionId": "s1", "toolCall": call, "options": options},
            }
        )
        answer = json.loads(sys.stdin.readline())
        say(answer["result"]["outcome"]["optionId"])
    elif VICE == "children":
        subprocess.Popen(["sleep", "1234"], start_new_session=True)
        subprocess.Popen(["sleep", "1235"])
        update(sessionUpdate="tool_call", toolCallId="t", title="sleep", kind="execute")
        never()
    elif VICE == "odd_error":
        return send({"id": request["id"], "error": "no object"})
    elif VICE == "odd_result":
        return send({"id": request["id"], "result": [1]})
    elif VICE == "odd_id":
        return send({"id": [1], "result": {}})
    elif VICE == "refusal":
        stop = "refusal"
    elif VICE == "tools":
        update(sessionUpdate="tool_call", toolCallId="a", title="Edit", kind="edit", status="pending")
        update(sessionUpdate="tool_call_update", toolCallId="a", status="completed")
        update(sessionUpdate="tool_call_update", toolCallId="never-started", status="completed")
        update(sessionUpdate="usage_update", used=1, size=2, cost={"amount": 0.25, "currency": "USD"})
        say("last words")
    else:
        say("hello")
    usage = {"totalTokens": 12, "inputTokens": 10, "outputTokens": 2}
    send({"id": request["id"], "result": {"stopReason": stop, "usage": usage}})
    return None


def on_load(request):
    say("an old message")
    send({"id": request["id"], "result": {}})


def answer(request):
    method, number = request.get("method"), request.get("id")
    if method == "initialize":
        if VICE == "mute":
            never()
        if VICE == "stubborn":
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        version = 2 if VICE == "version" else 1
        info = {"name": "fake", "version": "9.9"}
        send(
            {"id": number, "result": {"protocolVersion": version, "agentInfo": info, "agentCapabilities": CAPABILITIES}}
        )
    elif method == "session/new":
        send({"id": number, "result": {"sessionId": "s1"}})
    elif method == "session/resume":
        if VICE == "resume_refused":
            send({"id": number, "error": {"code": -32603, "message": "service failure"}})
        elif VICE != "resume_mute":
            send({"id": number, "result": {}})
    elif method == "session/load":
        on_load(request)
    elif method == "session/close":
        with open(os.path.join(os.environ.get("NOTES", "/tmp"), "closed"), "w"):
            pass
        send({"id": number, "result": {}})
    elif method == "session/prompt":
        on_prompt(request)


for line in sys.stdin:
    answer(json.loads(line))
if VICE == "stubborn":
    never()
