"""What a line typed at the demo's prompt means."""

import pytest

from bot.demo.prompt import Chat, Person, Press, Pull, Says, Slash, Typed, Word, read_line


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", Word("nothing")),
        ("  quit ", Word("quit")),
        ("exit", Word("quit")),
        ("HELP", Word("help")),
        ("help me with the login", Says("help me with the login")),
        ("/codetask list", Slash("/codetask list")),
        ("@codetask fix the login", Says("@codetask fix the login")),
        ("thread 2: @codetask status", Says("@codetask status", 2)),
        ("Thread 12 : hello there", Says("hello there", 12)),
        ("thread 1: /codetask list", Slash("/codetask list", 1)),
        ("thread 1: quit", Says("quit", 1)),
        ("thread two: hello", Says("thread two: hello")),
        ("press Cancel", Press("Cancel")),
        ("press [Queue again] in 3", Press("Queue again", 3)),
        ("press Details in thread 2", Press("Details", 2)),
        ("merge 1", Pull("merge", 1)),
        ("merge #4", Pull("merge", 4)),
        ("diff 2", Pull("diff", 2)),
        ("merge the two pages", Says("merge the two pages")),
        ("as bo: /codetask list", Person("bo", "/codetask list")),
        ("as bo", Person("bo")),
        ("as @Cy: press Cancel in 1", Person("cy", "press Cancel in 1")),
        ("in lark", Chat("lark")),
        ("in #Discord", Chat("discord")),
        ("in the letter", Says("in the letter")),
        ("page", Word("page")),
        ("page the doctor", Says("page the doctor")),
    ],
)
def test_a_line_has_one_meaning(line: str, meaning: Typed) -> None:
    assert read_line(line) == meaning
