"""Questions are answered by findings with their artifact; what was not examined is never an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.commands import windows_disk
from forensic_toolkit.rules import artifacts
from forensics.investigation.answers import QuestionAnswer, State, answers, rules
from forensics.models.case import CaseView
from forensics.models.evidence import AnyEvidence, EvidenceKind, Outcome, read_evidence
from forensics.models.plan import Question, ResponsePlan
from forensics.models.results import Investigation, ToolResults
from forensics.report.completeness import completeness
from forensics.triage.policy import packaged
from tests.unit.builders import ACCOUNT, CASE_ID, NOW, REGION, case, plan, target

ROOT = Path(__file__).resolve().parents[3]
MEMORY, DISK = "memory-i-1", "disk-vol-1"


def finding(title: str, severity: str = "high", **more: Any) -> dict[str, Any]:
    return {"id": title[:20], "title": title, "severity": severity, **more}


def read(*names: str, state: str = "examined", why: str = "") -> list[dict[str, Any]]:
    """What the toolkit says of artifacts on a disk."""
    files = 0 if state == "absent" else 1
    paths = [] if state == "absent" else ["/there"]
    return [{"name": name, "state": state, "files": files, "paths": paths, "why": why} for name in names]


def result(tool: str, *findings: dict[str, Any], runs: tuple[str, ...] = (), **more: Any) -> ToolResults:
    return ToolResults.model_validate(
        {
            "schema": "forensics.results/1",
            "case_id": CASE_ID,
            "evidence_id": MEMORY if tool == "memory" else DISK,
            "tool": tool,
            "started": NOW,
            "ended": NOW,
            "provenance": [{"tool": "volatility3", "argv": [name], "exit": 0} for name in runs],
            "findings": list(findings),
            **more,
        }
    )


def evidence(item: str, kind: EvidenceKind, outcome: Outcome = Outcome.ACQUIRED) -> AnyEvidence:
    known = {"evidence_id": item, "kind": kind, "outcome": outcome, "reason": "why"}
    return read_evidence({**known, "account_id": ACCOUNT, "region": REGION})


def asking(*questions: Question) -> ResponsePlan:
    return plan().model_copy(update={"questions": questions})


def view(*questions: str, results: tuple[ToolResults, ...] = (), **changes: Any) -> CaseView:
    asked = tuple(packaged().policy.questions[q] for q in questions)
    held = (evidence(MEMORY, EvidenceKind.MEMORY), evidence(DISK, EvidenceKind.DISK))
    values = {"case": case(), "plan": asking(*asked), "evidence": held, "results": results, "generated_at": NOW}
    return CaseView(**{**values, **changes})


def only(shown: CaseView) -> QuestionAnswer:
    (answer,) = answers(shown)
    return answer


def test_every_question_and_artifact_of_the_policy_has_a_rule() -> None:
    known = rules()
    for question in packaged().policy.questions.values():
        assert question.id in known.questions, question.id
        assert set(question.artifacts) <= set(known.artifacts), question.id
    assert set(known.questions) == set(packaged().policy.questions)


def test_every_pattern_of_an_answer_fits_what_some_rule_says() -> None:
    """A question that asks for a technique or a title that no rule gives would stay without an answer for ever."""
    said = "\n".join(file.read_text("utf-8") for file in _rule_files())
    ids = {found.upper() for found in re.findall(r"(?i)\bT1\d{3}(?:\.\d{3})?\b", said)}
    words = said.lower()
    dead = [
        (name, pattern)
        for name, rule in rules().questions.items()
        for pattern in (*rule.techniques, *rule.titles)
        if not any(fnmatchcase(technique, pattern) for technique in ids)
        and (pattern in rule.techniques or max(pattern.split("*"), key=len).strip().lower() not in words)
    ]
    assert not dead
    assert all(rule.techniques or rule.titles for rule in rules().questions.values())


def _rule_files() -> Iterator[Path]:
    """Where findings are made: the toolkit's rules, what is read of the live response, the comparison with memory, CloudTrail."""
    toolkit, product = ROOT / "ami/toolkit/src/forensic_toolkit", ROOT / "plugins/forensics"
    yield from (f for f in (toolkit / "rules").rglob("*") if f.suffix in {".py", ".json", ".yml", ".yar"})
    yield toolkit / "readers/login_logs.py"
    yield from (product / "memory/live").glob("*.py")
    yield product / "investigation/live_comparison.py"
    yield from (product / "cloud_evidence").glob("*rules.py")
    yield product / "cloud_evidence/trail_answers.py"


def test_every_artifact_that_is_asked_for_is_read_by_the_toolkit() -> None:
    on_disk = {kind.name for kind in (*artifacts.KINDS, *windows_disk.KINDS)} | {artifacts.TIMELINE}
    sets = (ROOT / "ami/toolkit/src/forensic_toolkit/runners/volatility_sets.json").read_text("utf-8").lower()
    plugins = re.findall(r'"((?:linux|windows)\.[a-z_.0-9]+)"', sets)
    for name, rule in rules().artifacts.items():
        if rule.evidence is EvidenceKind.DISK and not rule.tools:
            assert rule.read, name
            assert set(rule.read) <= on_disk, name
        if rule.evidence is EvidenceKind.MEMORY:
            assert any(fnmatchcase(plugin, pattern) for plugin in plugins for pattern in rule.sources), name


def test_an_answer_names_the_artifact_and_what_was_not_examined() -> None:
    found = finding(
        "Connection outwards: nc (7) with 203.0.113.66 port 443", technique="T1071", source="linux.sockstat"
    )
    answer = only(
        view(
            "q-c2-since-when",
            results=(
                result("memory", found, runs=("linux.sockstat.Sockstat",)),
                result("disk", artifacts=read(artifacts.TIMELINE)),
            ),
        )
    )
    assert answer.state is State.IN_PART
    assert [(s.finding.source, s.evidence_id) for s in answer.sentences] == [("linux.sockstat", MEMORY)]
    assert answer.examined == ("memory sockets", "file-system timeline")
    (unread,) = answer.unread
    assert unread.artifact == "VPC flow logs"
    assert unread.why == "no flow-logs evidence was acquired"


def test_examined_without_a_match_is_no_sign_and_not_an_answer() -> None:
    runs = ("linux.malware.check_syscall.Check_syscall", "linux.lsmod.Lsmod", "linux.pidhashtable.PIDHashTable")
    answer = only(view("q-kernel-altered", results=(result("memory", runs=runs),)))
    assert (answer.state, answer.unread) == (State.NO_SIGN, ())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"evidence": ()}, "no memory evidence was acquired"),
        ({"results": ()}, "no memory evidence was examined"),
        ({"results": (result("memory", runs=("linux.bash.Bash",)),)}, "no tool that reads it ran"),
    ],
)
def test_what_was_not_examined_leaves_the_question_open(changes: dict[str, Any], why: str) -> None:
    answer = only(view("q-kernel-altered", **changes))
    assert answer.state is State.UNANSWERED
    assert {u.why for u in answer.unread} == {why}


def test_a_plugin_that_failed_is_not_an_examination() -> None:
    failed = {"tool": "volatility3", "argv": ["linux.lsmod.Lsmod"], "exit": 1, "error": "no symbol modules"}
    answer = only(view("q-kernel-altered", results=(result("memory", provenance=[failed]),)))
    assert "the tool that reads it failed: no symbol modules" in {u.why for u in answer.unread}


def test_a_log_that_could_not_be_read_is_not_examined() -> None:
    said = [
        *read("log-in records", state="unreadable", why="/var/log/wtmp: 0 of 8 lines were parsed"),
        *read("journal", state="in part", why="/var/log/journal/x: it ends early"),
    ]
    answer = only(view("q-brute-success", results=(result("disk", artifacts=said),)))
    assert answer.examined == ("journal",)
    assert [(u.artifact, u.why) for u in answer.unread] == [
        ("wtmp and btmp", f"log-in records on {DISK}: /var/log/wtmp: 0 of 8 lines were parsed"),
        ("journal", f"journal on {DISK}: /var/log/journal/x: it ends early"),
    ]


def test_what_is_not_there_was_not_examined() -> None:
    """A disk without logs and schedules gives no "examined without a match" (claims of an earlier report)."""
    said = [
        *read("log-in records", "journal", "log-in log", "system log", "Windows event log", state="absent"),
        *read("authorized_keys", state="empty"),
    ]
    answer = only(view("q-who-logged-in", results=(result("disk", artifacts=said),)))
    assert (answer.state, answer.examined, answer.unread) == (State.UNANSWERED, (), ())
    assert [u.artifact for u in answer.absent] == ["wtmp and btmp", "journal", "authorized_keys"]
    assert answer.absent[0].why == f"no log-in records on {DISK}"
    assert answer.absent[2].why == f"empty on {DISK}: /there"


def test_results_that_do_not_say_what_was_read_claim_nothing() -> None:
    """Another tool's results, and those of a toolkit that did not list artifacts yet."""
    answer = only(view("q-who-logged-in", results=(result("disk"),)))
    assert (answer.state, answer.examined) == (State.UNANSWERED, ())
    assert {u.why for u in answer.unread} == {"the results do not say whether it was read"}


def test_a_disk_that_nobody_examined_may_hold_it() -> None:
    held = (evidence(DISK, EvidenceKind.DISK), evidence("disk-vol-2", EvidenceKind.DISK))
    said = result("disk", artifacts=read("log-in records", "journal", "authorized_keys", state="absent"))
    answer = only(view("q-who-logged-in", results=(said,), evidence=held))
    assert answer.absent == ()
    assert {u.why for u in answer.unread} == {"disk-vol-2 was not examined"}


def test_the_gravest_statements_come_first_and_the_rest_is_counted() -> None:
    many = [finding(f"Cron job {n}", "medium", technique="T1053.003", source=f"/etc/cron.d/{n}") for n in range(9)]
    grave = finding("Unit", "critical", technique="T1543.002", source="/etc/systemd/system/x.service")
    answer = only(view("q-persistence", results=(result("disk", *many, grave),)))
    assert answer.sentences[0].finding.title == "Unit"
    assert (len(answer.sentences), answer.more) == (8, 2)


def test_many_of_one_technique_do_not_hide_another() -> None:
    accounts = [finding(f"Account {n}", "critical", technique="T1136.001", source="/etc/passwd") for n in range(12)]
    job = finding("Cron job", "medium", technique="T1053.003", source="/etc/cron.d/x")
    answer = only(view("q-persistence", results=(result("disk", *accounts, job),)))
    assert [s.finding.title for s in answer.sentences[:2]] == ["Account 0", "Cron job"]
    assert (len(answer.sentences), answer.more) == (8, 5)


def test_a_question_without_a_rule_is_answered_by_its_artifacts() -> None:
    own = Question(id="q-own", text="What does the schedule hold?", artifacts=("cron",))
    rows = (finding("Odd job", source="/etc/cron.d/x"), finding("Other", source="/root/.bashrc"))
    answer = only(view(results=(result("disk", *rows),), plan=asking(own)))
    assert [s.finding.title for s in answer.sentences] == ["Odd job"]


def test_completeness_weighs_what_the_plan_asks_for() -> None:
    done = tuple(
        Investigation(activity=f"investigate_{kind}", evidence_id=item, outcome=outcome)
        for kind, item, outcome in (("memory", MEMORY, "DONE"), ("disk", DISK, "PARTIAL"))
    )
    facts = evidence("control-plane-facts", EvidenceKind.CONTROL_PLANE)
    whole = completeness(
        view(
            target=target(),
            investigations=done,
            evidence=(facts, evidence(MEMORY, EvidenceKind.MEMORY), evidence(DISK, EvidenceKind.DISK)),
        )
    )
    # 1 + 4 + 3 + 4 + 3 / 2 of 15
    assert whole.percent == 90
    assert [(p.what, p.state) for p in whole.short] == [("disk-vol-1, examined", "PARTIAL")]


def test_a_volume_of_which_nothing_is_recorded_is_short() -> None:
    shown = completeness(view(target=target(), evidence=(evidence(MEMORY, EvidenceKind.MEMORY, Outcome.FAILED),)))
    assert shown.percent == 0
    assert {(p.what, p.why) for p in shown.short} >= {(MEMORY, "why"), (DISK, "nothing is recorded of it")}


def test_without_a_plan_nothing_is_weighed() -> None:
    assert completeness(view(plan=None)).percent is None
    assert answers(view(plan=None)) == []


TRAIL = "cloud-trail-i-1"


def with_trail(question: str, trail: AnyEvidence, *results: ToolResults) -> QuestionAnswer:
    shown = view(question, results=results)
    return only(shown.model_copy(update={"evidence": (*shown.evidence, trail)}))


def test_cloudtrail_answers_what_was_done_with_the_credentials() -> None:
    used = finding("The instance's credentials were used from elsewhere: 198.51.100.7, 2 calls", technique="T1078.004")
    rotate = finding("Credential to rotate: sessions of role web", technique="T1078.004")
    made = result("cloud", used, rotate, artifacts=read("CloudTrail")).model_copy(update={"evidence_id": TRAIL})
    for question, wanted in (("q-credentials-used", used), ("q-credentials-rotate", rotate)):
        answer = with_trail(question, evidence(TRAIL, EvidenceKind.CLOUD_TRAIL), made)
        assert wanted["title"] in [s.finding.title for s in answer.sentences]
        assert "CloudTrail by session name" in answer.examined


def test_query_logs_answer_which_names_were_resolved_and_what_left() -> None:
    asked = finding("DNS name led to the finding's address 198.51.100.7: updates.example", technique="T1071")
    queries = "query-logs-i-0123456789abcdef0"
    made = result("cloud", asked, artifacts=read("Resolver query logs")).model_copy(update={"evidence_id": queries})
    answer = with_trail("q-dns-names", evidence(queries, EvidenceKind.QUERY_LOGS), made)
    assert asked["title"] in [s.finding.title for s in answer.sentences]
    assert "Resolver query logs" in answer.examined
    without = with_trail("q-data-left", evidence(queries, EvidenceKind.QUERY_LOGS, Outcome.NOT_APPLICABLE))
    assert "no query-logs evidence was acquired: why" in [
        u.why for u in without.unread if u.artifact == "Resolver query logs"
    ]


def test_why_there_are_no_records_is_said_in_the_answer() -> None:
    answer = with_trail("q-what-else", evidence(TRAIL, EvidenceKind.CLOUD_TRAIL, Outcome.FAILED))
    (unread,) = answer.unread
    assert answer.state is State.UNANSWERED
    assert unread.why == "no cloud-trail evidence was acquired: why"
