"""Who may see and do what: Airflow's own permissions, asked of its auth manager. Closed when Airflow cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import structlog
from fastapi import HTTPException, Request, status

from forensics.case.addresses import CASE_DAG, EXPORT_DAG, PROFILE_DAG, RELEASE_DAG, SWEEP_DAG
from forensics.models.approval import Person
from forensics.web.problem import Problem

Access = Callable[..., object]

log = structlog.get_logger(__name__)


class Right(StrEnum):
    """What a person may do with cases, beside nothing."""

    READ = "read"
    RESPOND = "respond"
    RELEASE = "release"
    APPROVE = "approve"
    EXPORT = "export"
    PROFILE = "profile"
    SWEEP = "sweep"


@dataclass(frozen=True)
class Permission:
    """The permission of Airflow that gives a right, the role that has it, and what it is for."""

    role: str
    method: Literal["GET", "POST", "PUT"]
    entity: Literal["RUN", "HITL_DETAIL"]
    dag_id: str
    gives: str

    @property
    def words(self) -> str:
        """The permission as people find it in Airflow."""
        what = {"RUN": "runs", "HITL_DETAIL": "required actions"}[self.entity]
        verb = {"GET": "read", "POST": "create", "PUT": "edit"}[self.method]
        return f"{verb} {what} of the DAG {self.dag_id}"


PERMISSIONS = {
    Right.READ: Permission("reader", "GET", "RUN", CASE_DAG, "see the board, cases, reports and the API; download reports with their exports"),
    Right.RESPOND: Permission("responder", "POST", "RUN", CASE_DAG, "judge findings, comment, tag and take cases, start a case, download what the tools made"),
    Right.RELEASE: Permission("responder", "POST", "RUN", RELEASE_DAG, "ask for the target's release"),
    Right.PROFILE: Permission("responder", "POST", "RUN", PROFILE_DAG, "examine the evidence of an ended case by one more activity"),
    Right.SWEEP: Permission("responder", "POST", "RUN", SWEEP_DAG, "look for a case's indicators on other machines"),
    Right.APPROVE: Permission("approver", "PUT", "HITL_DETAIL", RELEASE_DAG, "answer the question whether the target is released"),
    Right.EXPORT: Permission("custodian", "POST", "RUN", EXPORT_DAG, "export the case as a bundle"),
}  # fmt: skip


@dataclass(frozen=True)
class Visitor:
    """The person of a request and what that person may do."""

    person: Person = field(default_factory=Person)
    rights: frozenset[Right] = frozenset({Right.READ})

    def may(self, right: Right) -> bool:
        """Whether the person has a right."""
        return right in self.rights


def refuse_everyone() -> None:
    """Dependency for an Airflow whose sign-in cannot be used: nobody gets in."""
    raise HTTPException(
        status.HTTP_503_SERVICE_UNAVAILABLE,
        "Airflow's sign-in is not available to this plugin, so no case is shown. "
        "Check that the plugin fits this Airflow version (api-server log: 'forensics.web.access').",
    )


def airflow_access() -> Access:
    """Dependency that asks Airflow's auth manager: 401 without a session or token, 403 without the right."""
    try:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
        from airflow.api_fastapi.core_api.security import requires_access_dag
    except ImportError as error:
        log.exception("Airflow's sign-in cannot be imported; the case pages refuse everyone", error=str(error))
        return refuse_everyone
    return requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=CASE_DAG)


def airflow_visitor() -> Access:
    """Dependency that answers with the :class:`Visitor` of a request, as Airflow's auth manager knows the person."""
    try:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
        from airflow.api_fastapi.core_api.security import get_user
        from airflow.models.dag import DagModel
        from fastapi import Depends
    except ImportError as error:
        log.exception("Airflow's sign-in cannot be imported; the case pages refuse everyone", error=str(error))
        return refuse_everyone

    def visitor(user: object = Depends(get_user)) -> Visitor:
        manager = get_auth_manager()

        def granted(needed: Permission) -> bool:
            details = DagDetails(id=needed.dag_id, team_name=DagModel.get_team_name(needed.dag_id))
            entity = DagAccessEntity[needed.entity]
            return bool(
                manager.is_authorized_dag(method=needed.method, access_entity=entity, details=details, user=user)
            )

        rights = frozenset(right for right, needed in PERMISSIONS.items() if granted(needed))
        return Visitor(Person(id=str(user.get_id()), login=str(user.get_name())), rights)  # type: ignore[attr-defined]

    return visitor


def reader_only() -> Visitor:
    """Dependency where nobody may do more than read."""
    return Visitor()


def visitor_of(request: Request) -> Visitor:
    """Who sent a request; the app has asked before any route."""
    found = getattr(request.state, "forensics_visitor", None)
    return found if isinstance(found, Visitor) else Visitor(rights=frozenset())


def needs(right: Right) -> Callable[[Request], None]:
    """Dependency that lets only those pass who have a right; raises :class:`Problem` (403)."""
    needed = PERMISSIONS[right]

    def check(request: Request) -> None:
        if visitor_of(request).may(right):
            return
        raise Problem(
            403,
            "Not allowed",
            "The request was not carried out",
            f"It takes the role {needed.role}: in Airflow the permission to {needed.words}. {visitor_of(request).person} does not have it.",
            "Ask an administrator of Airflow for it, or a person who has it to do this.",
        )

    return check
