"""What is shown of an answer that is too long to be posted whole."""

from bot.core.long_answers import PIECE, PIECES_MAX, beginning, closed

LONG = PIECE * PIECES_MAX + 1


def test_what_fits_four_pieces_is_posted_whole() -> None:
    assert beginning("x" * (LONG - 1)) is None
    assert beginning("") is None


def test_it_is_cut_at_a_paragraph_a_line_or_a_word() -> None:
    for between in ("\n\n", "\n", " "):
        text = between.join(["word" * 20] * 400)
        shown = beginning(text)
        assert shown is not None and len(shown) <= PIECE
        assert shown == between.join(["word" * 20] * shown.count("word" * 20))


def test_one_endless_word_is_cut_too() -> None:
    assert beginning("x" * LONG) == "x" * PIECE


def test_an_open_code_block_is_closed() -> None:
    for marks in ("```", "~~~~", "`````"):
        text = f"Before\n\n{marks}py\n" + "line = '```' + \"~~~\"\n" * 2000
        shown = beginning(text)
        assert shown is not None and shown.endswith(f"\n{marks}")
    closed = "```\ncode\n```\n" + "word " * 4000
    shown = beginning(closed)
    assert shown is not None and shown.endswith("word")


def test_closing_changes_nothing_that_is_closed() -> None:
    for text in ("", "plain", "```\ncode\n```", "~~~\n```\n~~~", "````\n```\n````", "a ``` b"):
        assert closed(text) == text
    assert closed("```\n~~~") == "```\n~~~\n```"
    assert closed("```\n``` not the end") == "```\n``` not the end\n```"
