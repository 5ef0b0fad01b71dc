"""Windows event logs."""

from __future__ import annotations

from typing import Any

from forensic_toolkit.rules import windows_events


def test_guessed_passwords_need_many_in_a_short_time() -> None:
    def record(minute: int, number: int, address: str = "203.0.113.66") -> dict[str, Any]:
        return {"ts": f"2026-11-21T02:{minute:02}:00Z", "EventID": number, "IpAddress": address, "TargetUserName": "a"}

    slow = [record(minute, 4625) for minute in range(0, 60, 12)]
    quick = [record(minute, 4625, "203.0.113.67") for minute in range(5)]
    local = [record(minute, 4625, "-") for minute in range(9)]
    found = list(windows_events._guessing([*slow, *quick, *local, record(7, 4624, "203.0.113.67")]))
    assert [(item.title, item.severity) for item in found] == [
        ("Passwords guessed from 203.0.113.67, and one succeeded", "critical")
    ]
