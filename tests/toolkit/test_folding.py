"""Equal hits are one finding; what is grave stays apart; what is newest stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from forensic_toolkit.folding import folded, squashed
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.times import now

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def hit(day: int, detail: str, **more: object) -> Finding:
    """A hit of one rule on some day."""
    values: dict[str, object] = {
        "title": "Root shell (sudo)",
        "severity": "low",
        "confidence": "medium",
        "source": "auth.log",
    }
    return Finding(detail=detail, time=DAY + timedelta(days=day), **values | more)  # type: ignore[arg-type]


def test_equal_hits_are_one_finding_and_the_different_one_is_seen() -> None:
    daily = [hit(day, f"admin : TTY=pts/{day} ; COMMAND=/bin/bash") for day in range(25)]
    found = folded([*daily, hit(26, "www-data : TTY=unknown ; COMMAND=/bin/bash")])
    assert {(item.detail.split()[0], item.count) for item in found} == {("admin", 25), ("www-data", 1)}
    admin = next(item for item in found if item.count == 25)
    shown = admin.as_dict()
    assert (shown["count"], shown["first"], shown["last"]) == (25, "2026-11-01T00:00:00Z", "2026-11-25T00:00:00Z")
    assert "25 times" in shown["detail"] and len(shown["data"]["examples"]) == 20


def test_numbers_differ_between_equal_hits_but_addresses_do_not() -> None:
    assert squashed("[9.1] ena: port 4022 from 198.51.100.7") == "[#] ena: port # from 198.51.100.7"
    found = folded([hit(1, "from 198.51.100.7 port 1"), hit(2, "from 198.51.100.8 port 2")])
    assert len(found) == 2


def test_many_of_a_kind_are_one_finding_unless_they_are_grave() -> None:
    files = [hit(n, "x", title=f"Program in a temporary folder: /tmp/{n}", severity="medium") for n in range(9)]
    grave = [hit(n, "x", title=f"Web shell: /var/www/{n}.php", severity="critical") for n in range(9)]
    found = folded([*files, *grave])
    assert [item.title for item in found if item.severity == "medium"] == ["Program in a temporary folder (9 in all)"]
    assert sum(item.severity == "critical" for item in found) == 9


def test_the_gravest_speaks_for_folded_hits_and_the_newest_at_equal_gravity() -> None:
    found = folded([hit(1, "a", fold="k"), hit(2, "b", fold="k", severity="high"), hit(3, "c", fold="k")])
    assert [(item.detail, item.count, item.severity) for item in found] == [("b", 3, "high")]
    found = folded([hit(3, "c", fold="k"), hit(1, "a", fold="k")])
    assert found[0].detail == "c"


def test_a_cut_list_keeps_the_newest_and_says_so() -> None:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    results.findings = [hit(n, "x", title=f"Web shell: /w/{n}", severity="critical") for n in range(1200)]
    document = results.as_dict(ended=now())
    assert len(document["findings"]) == 1000
    assert {gap["what"] for gap in document["gaps"]} == {"findings"}
    assert max(item["time"] for item in document["findings"]) == "2030-02-12T00:00:00Z"
    assert min(item["title"] for item in document["findings"]) != "Web shell: /w/0"
