"""Who started a run, as far as Airflow says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensics.models.approval import Askers, Person

if TYPE_CHECKING:
    from airflow.sdk import Context

# Auth managers whose get_name() is the user's unique login, which the user cannot change: SimpleAuthManager (its id as well) and
# FAB (``ab_user.username``; on MWAA the IAM role or user). Others may answer with a name or a mail address that can be edited.
_LOGIN_IDENTIFIES = frozenset({"SimpleAuthManager", "FabAuthManager"})
# What the intake writes into the configuration of a run that somebody ordered in another system.
ORDERED_BY = "ordered_by"


@dataclass(frozen=True)
class StepRun:
    """The run that a step belongs to, and who asked for it.

    ``order``: the same in all tries that Airflow makes by itself, another one after somebody has cleared the step.
    """

    run_id: str = ""
    dag_id: str = ""
    askers: Askers = field(default_factory=Askers)
    order: str = ""


def step_run(context: Context) -> StepRun:
    """What the context of a task says of its run."""
    run = context.get("dag_run")
    conf = getattr(run, "conf", None)
    return StepRun(
        run_id=str(getattr(run, "run_id", "") or ""),
        dag_id=str(getattr(run, "dag_id", "") or ""),
        askers=run_askers(getattr(run, "triggering_user_name", None), conf=conf if isinstance(conf, Mapping) else {}),
        # Airflow raises max_tries when a task is cleared (clear_task_instances), and only then.
        order=str(getattr(context.get("ti"), "max_tries", "")),
    )


def run_askers(user: str | None, *, conf: Mapping[str, object]) -> Askers:
    """Who asked for what a run does: its user, and whoever gave the order that it carries."""
    person = person_of(user)
    unknown = []
    if person is None:
        unknown.append("Airflow does not say who started the run")
    elif not person.unique:
        unknown.append(f"Airflow knows who started the run only by a name that can be changed ({person})")
    if ordered := conf.get(ORDERED_BY):
        unknown = [f"it was ordered by {str(ordered)[:200]}, which does not say by whom"]
    return Askers(known=(person,) if person else (), unknown=tuple(unknown))


def person_of(user: str | None) -> Person | None:
    """The person behind the user name that Airflow keeps of a run; None where it keeps none."""
    return Person(login=user[:500], unique=_login_identifies()) if user else None


def _login_identifies() -> bool:
    # Imported on use: the plugin is loaded by every process.
    from airflow.configuration import conf

    manager = conf.get("core", "auth_manager", fallback="")
    return manager.rpartition(".")[2] in _LOGIN_IDENTIFIES
