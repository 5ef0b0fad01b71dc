"""The strip of tactics: each technique below each of its tactics, by its gravest finding."""

from __future__ import annotations

from forensics.attack_techniques import TACTICS, TECHNIQUES
from forensics.models.results import ResultSeverity, ToolFinding, ToolResults
from forensics.report import render_html
from forensics.report.attack_strip import ORDER, attack_strip
from tests.unit.builders import CASE_ID, NOW, view


def found(*techniques: tuple[str | None, ResultSeverity]) -> ToolResults:
    findings = tuple(ToolFinding(id=str(n), title="t", severity=s, technique=t) for n, (t, s) in enumerate(techniques))
    return ToolResults(
        schema="forensics.results/1",
        case_id=CASE_ID,
        evidence_id="disk-vol-1",
        tool="disk",
        started=NOW,
        ended=NOW,
        findings=findings,
    )


def test_every_tactic_of_attack_has_its_place() -> None:
    assert set(ORDER) == set(TACTICS)


def test_a_technique_is_below_each_of_its_tactics_by_its_gravest_finding() -> None:
    results = found(
        ("T1053.003", ResultSeverity.LOW),
        ("T1053.003", ResultSeverity.CRITICAL),
        ("T1014", ResultSeverity.MEDIUM),
        (None, ResultSeverity.HIGH),
    )
    strip = {tactic.name: tactic.seen for tactic in attack_strip(view(results=(results,)))}
    for tactic in TECHNIQUES["T1053.003"].tactics:
        (seen,) = [s for s in strip[TACTICS[tactic]] if s.technique == "T1053.003"]
        assert (seen.findings, seen.level) == (2, "bad")
    assert [s.technique for s in strip["Stealth"]] == ["T1014"] and strip["Exfiltration"] == ()
    assert "tactic not known" not in strip


def test_an_id_that_is_not_in_the_table_is_shown_all_the_same() -> None:
    strip = attack_strip(view(results=(found(("T9999", ResultSeverity.HIGH)),)))
    assert strip[-1].name == "tactic not known" and strip[-1].seen[0].technique == "T9999"


def test_without_a_technique_there_is_no_strip() -> None:
    assert attack_strip(view(results=(found((None, ResultSeverity.HIGH)),))) == []
    assert 'class="strip"' not in render_html(view())
