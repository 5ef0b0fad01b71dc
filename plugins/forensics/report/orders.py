"""What a person can start from a case's page: a DAG run on this case, by Airflow's own API and permissions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forensics.case.addresses import CASE_DAG, EXPORT_DAG, PROFILE_DAG, RELEASE_DAG, SWEEP_DAG, question_page
from forensics.document_registry import profiles
from forensics.investigation.profiles import why_not
from forensics.models.approval import Approval
from forensics.models.case import Case, CaseView


@dataclass(frozen=True)
class OrderField:
    """A text or a choice that goes into the run's configuration under ``name``; ``value`` is what stands there at first."""

    name: str
    label: str
    most: int = 0
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Order:
    """A run that can be started: ``dag_id`` with the case's id and ``fields`` as its configuration."""

    dag_id: str
    label: str
    about: str
    case_id: str
    fields: tuple[OrderField, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question that waits for an answer, and where it is answered."""

    about: str
    href: str


def orders(view: CaseView, *, dags: frozenset[str]) -> list[Order]:
    """What makes sense for the case as it is, of the DAGs that the person may start."""
    return [order for order in _orders(view) if order.dag_id in dags]


def _orders(view: CaseView) -> Iterator[Order]:
    case_id = view.case.case_id
    if view.containment and not view.released:
        about = "Undoes the containment from its signed restore point. Another person has to approve the calls that it shows."
        yield Order(RELEASE_DAG, "Ask for the release", about, case_id, (OrderField("reason", "Reason", most=500),))
    if choices := _profiles(view):
        about = "Examines the evidence of this case once more, on a forensic instance of its own; the case stays closed. Full ones take minutes to hours."
        yield Order(
            PROFILE_DAG, "Run a profile", about, case_id, (OrderField("activity", "Activity", choices=choices),)
        )
    if any(result.findings for result in view.results):
        about = "Looks for what the findings name on other instances and snapshots, read-only; what is found is a message and on the page Linked cases."
        yield Order(SWEEP_DAG, "Sweep other machines", about, case_id, _sweep(view.case))
    if view.custody:
        about = "Writes a bundle of evidence, ledger and keys that a stranger checks with forensics-verify."
        yield Order(EXPORT_DAG, "Export the case", about, case_id, (OrderField("requester", "For whom", most=100),))


def _sweep(case: Case) -> tuple[OrderField, ...]:
    """Where to look, in the account and Region of the case unless a target is written with its own."""
    return (
        OrderField("instances", "Instances (i-… or account/Region/i-…, with blanks between them)", most=20_000),
        OrderField("snapshots", "Snapshots", most=20_000),
        OrderField("account_id", "Account", most=12, value=case.account_id),
        OrderField("region", "Region", most=25, value=case.region),
        OrderField("reason", "Reason", most=500),
    )


def _profiles(view: CaseView) -> tuple[tuple[str, str], ...]:
    """What can be run on the case's evidence, with whether its results are there already."""
    described = view.target or view.artifact
    platform = described.platform if described else "linux"
    done = {item.activity for item in view.investigations if item.succeeded}
    return tuple(
        (d.activity, d.activity + (" (done)" if d.activity in done else ""))
        for d in profiles(platform)
        if why_not(d.activity, case=view.case, evidence=view.evidence, platform=platform) is None
    )


def questions(view: CaseView, *, airflow: str) -> list[Question]:
    """The questions of the case that wait for an answer."""
    asked = (("the isolation", CASE_DAG, view.approval), ("the release", RELEASE_DAG, view.release_approval))
    return [
        _question(about, dag, found, airflow) for about, dag, found in asked if found and found.open and found.run_id
    ]


def _question(about: str, dag_id: str, found: Approval, airflow: str) -> Question:
    return Question(about, question_page(airflow, dag_id=dag_id, run_id=found.run_id, task_id=found.step))
