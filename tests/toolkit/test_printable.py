"""Text from evidence made visible."""

from __future__ import annotations

from forensic_toolkit.printable import printable


def test_hostile_text_is_made_visible() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\x0a"
    assert printable("x" * 500, limit=10) == "xxxxxxxxxx… [490 more]"
