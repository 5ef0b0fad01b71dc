"""What can be done with a stack in each of CloudFormation's states (user guide, "Stack status codes")."""

from __future__ import annotations

from enum import StrEnum


class Readiness(StrEnum):
    """What has to happen before a stack can be deployed."""

    CREATE = "it can be created"
    UPDATE = "it can be updated"
    WAIT = "an operation is in progress: wait for its end"
    REMOVE = "its creation failed: it can only be deleted, and then created again"
    CONTINUE_ROLLBACK = "its roll back stopped: it has to be continued before anything else"
    ROLL_BACK = "its update failed and was not rolled back: that has to be done before anything else"
    STUCK = "a person has to look at it in CloudFormation"


STATES = {
    # a change set was made and never carried out (a dry run that was interrupted, for example)
    "REVIEW_IN_PROGRESS": Readiness.CREATE,
    "DELETE_COMPLETE": Readiness.CREATE,
    "CREATE_COMPLETE": Readiness.UPDATE,
    "UPDATE_COMPLETE": Readiness.UPDATE,
    "UPDATE_ROLLBACK_COMPLETE": Readiness.UPDATE,
    "IMPORT_COMPLETE": Readiness.UPDATE,
    "IMPORT_ROLLBACK_COMPLETE": Readiness.UPDATE,
    "CREATE_IN_PROGRESS": Readiness.WAIT,
    "UPDATE_IN_PROGRESS": Readiness.WAIT,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Readiness.WAIT,
    "UPDATE_ROLLBACK_IN_PROGRESS": Readiness.WAIT,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Readiness.WAIT,
    "ROLLBACK_IN_PROGRESS": Readiness.WAIT,
    "DELETE_IN_PROGRESS": Readiness.WAIT,
    "IMPORT_IN_PROGRESS": Readiness.WAIT,
    "IMPORT_ROLLBACK_IN_PROGRESS": Readiness.WAIT,
    "ROLLBACK_COMPLETE": Readiness.REMOVE,
    "CREATE_FAILED": Readiness.REMOVE,
    "ROLLBACK_FAILED": Readiness.REMOVE,
    "UPDATE_ROLLBACK_FAILED": Readiness.CONTINUE_ROLLBACK,
    # RollbackStack takes UPDATE_FAILED, ContinueUpdateRollback does not (CloudFormation API reference)
    "UPDATE_FAILED": Readiness.ROLL_BACK,
    "DELETE_FAILED": Readiness.STUCK,
    "IMPORT_ROLLBACK_FAILED": Readiness.STUCK,
}
# Drift is looked for in stacks that are as their template says, and in one whose roll back stopped (user guide, "Detect drift").
COMPARABLE = frozenset({s for s, r in STATES.items() if r is Readiness.UPDATE} | {"UPDATE_ROLLBACK_FAILED"})


def readiness(status: str | None) -> Readiness:
    """Of a state; None: there is no stack. One that CloudFormation did not have when this was written is for a person."""
    return Readiness.CREATE if status is None else STATES.get(status, Readiness.STUCK)
