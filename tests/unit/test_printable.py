"""Text from outside, made safe for what people act on."""

from __future__ import annotations

import pytest

from forensics.printable import code_span, defanged, escaped, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("false alarm", "false alarm"),
        ("a\nb\r\n c", "a⏎ b␍⏎ c"),
        ("ali\u200bce\u202e", "ali[U+200B]ce[U+202E]"),
        ("\u3164", "[U+3164]"),
        ("a\u034fb\ufe0f", "a[U+034F]b[U+FE0F]"),
        ("\ud800", "[U+D800]"),
        ("Zoë, 田中", "Zoë, 田中"),
        ("x" * 12, "xxxxxxxxxx […2 more characters]"),
        (7, "7"),
    ],
)
def test_a_line_shows_what_would_hide(text: object, shown: str) -> None:
    assert one_line(text, limit=10) == shown or one_line(text) == shown


def test_a_code_span_is_never_ended_or_empty() -> None:
    assert code_span("a ` b `` c") == "`a ' b '' c`"
    assert code_span("") == "` `"


def test_a_sentence_keeps_its_words_and_loses_its_markup() -> None:
    assert escaped("role *app* of [x](y) <!-- `z`") == r"role \*app\* of \[x\]\(y\) \<\!-- \`z\`"
    assert escaped("see https://x.example, www.x.example, a@b.example") == (
        "see `https://x.example,` `www.x.example,` `a@b.example`"
    )


def test_no_mail_program_makes_a_link_of_it() -> None:
    assert defanged("https://x.example\nWWW.x.example") == "https[:]//x.example⏎ www[.]x.example"
