"""What can be started from the page: what makes sense for the case, for those who may, in the form that the DAGs take."""

from __future__ import annotations

from datetime import timedelta

from forensics.models.approval import Approval
from forensics.models.case import CaseStatus
from forensics.models.containment import ReleaseResult
from forensics.models.evidence import Outcome
from forensics.report import render_html
from forensics.report.orders import orders, questions
from forensics.report.page import Desk, Live
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.report.test_hostile import check

ALL = frozenset({"forensic_release", "case_export", "forensic_profile", "forensic_sweep"})


def test_a_contained_target_can_be_released_and_a_released_one_not_again() -> None:
    view = sample.rich_view()
    assert [order.dag_id for order in orders(view, dags=ALL)] == [
        "forensic_release",
        "forensic_profile",
        "forensic_sweep",
        "case_export",
    ]
    assert view.containment is not None and view.containment.contained_at is not None
    later = view.containment.contained_at + timedelta(hours=1)
    released = sample.rich_view(release=ReleaseResult(outcome=Outcome.DONE, released_at=later))
    assert [order.dag_id for order in orders(released, dags=ALL)] == [
        "forensic_profile",
        "forensic_sweep",
        "case_export",
    ]
    assert orders(sample.empty_view(), dags=ALL) == []


def test_nobody_is_offered_what_they_may_not_start() -> None:
    assert [order.dag_id for order in orders(sample.rich_view(), dags=frozenset({"case_export"}))] == ["case_export"]
    assert orders(sample.rich_view(), dags=frozenset()) == []


def test_an_open_question_leads_to_where_it_is_answered() -> None:
    asked = Approval(digest="d", at=NOW, reason="asked", run_id="manual__1/2", step="plan_release", open=True)
    view = sample.rich_view(release_approval=asked)
    (question,) = questions(view, airflow="/airflow")
    assert question.href == "/airflow/dags/forensic_release/runs/manual__1%2F2/tasks/plan_release/required_actions"
    live = Live(airflow="/airflow", page="/p", desk=Desk(person="mara", rights=()))
    assert "Answer the question about the release" in check(render_html(view, live=live)).text
    answered = asked.model_copy(update={"open": False})
    assert questions(sample.rich_view(release_approval=answered), airflow="") == []


def test_a_stored_report_starts_nothing() -> None:
    page = check(render_html(sample.rich_view()))
    assert "form" not in page.tags and "Ask for the release" not in page.text


def test_a_profile_is_offered_once_the_case_has_ended_for_the_evidence_and_platform_that_it_has() -> None:
    view = sample.rich_view()
    assert view.target is not None

    def offered(**changes: object) -> dict[str, str]:
        found = orders(view.model_copy(update=changes), dags=frozenset({"forensic_profile"}))
        return dict(found[0].fields[0].choices) if found else {}

    target = view.target.model_copy(update={"platform": "linux"})
    memory, disk = view.evidence[1], view.evidence[2].model_copy(update={"outcome": Outcome.ACQUIRED})
    both = offered(target=target, evidence=(memory, disk))
    assert {"investigate_memory_full", "investigate_disk_full", "investigate_collect"} <= set(both)
    assert both["investigate_memory_full"] == "investigate_memory_full"
    assert "windows" not in " ".join(both)
    assert set(offered(target=target, evidence=(memory,))) == {"investigate_memory", "investigate_memory_full"}
    assert offered(target=target, evidence=()) == {}
    running = view.case.model_copy(update={"status": CaseStatus.OPEN, "closed_at": None})
    assert offered(target=target, evidence=(memory, disk), case=running) == {}


def test_a_sweep_is_offered_once_something_was_found_and_begins_where_the_case_is() -> None:
    from dags import forensic_sweep

    view, offered = sample.rich_view(), frozenset({"forensic_sweep"})
    (order,) = orders(view, dags=offered)
    assert {f.name for f in order.fields} | {"case_id"} <= set(forensic_sweep.plan.dag.params)
    given = {f.name: f.value for f in order.fields if f.value}
    assert given == {"account_id": view.case.account_id, "region": view.case.region}
    page = check(
        render_html(view, live=Live(airflow="/a", page="/p", desk=Desk(person="mara", rights=(), dags=offered)))
    )
    assert "Sweep other machines" in page.text
    assert orders(view.model_copy(update={"results": ()}), dags=offered) == []
