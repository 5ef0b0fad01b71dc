"""Errors of the product.

::

    ForensicsError                    .next_action  .retryable
    ├─ ConfigurationError
    ├─ FindingError                   a finding or request that cannot be processed
    ├─ CaseError                      InvalidCaseError, CaseConflictError, StoredItemError
    ├─ UnsupportedTargetError         no document for this platform
    ├─ AcquisitionError               MemoryCaptureError, SnapshotError, EvidenceTransferError (EvidenceSizeError), ConfinedError, RecordSourceError
    ├─ CustodyError                   DigestMismatchError, CustodyChainError, AuditError   (never retried); RetentionError
    ├─ ContainmentError               ApprovalError, HeldElsewhereError
    ├─ InvestigationError
    ├─ ChannelError                   a channel that did not take a message
    ├─ SweepError                     a sweep that cannot be done as it was asked for
    ├─ PushError                      a case that another system did not take
    ├─ DrillError                     a drill that cannot go on
    └─ AwsError                       AccessDeniedError, ThrottledError, ResourceGoneError, ConflictError, UnreachableError
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from forensics.deployment import named
from forensics.printable import single_line


class ForensicsError(Exception):
    """Root of all errors: a message that says what, where and why, and what to do next."""

    retryable = True
    default_action = "read the task's log; when the cause is removed, clear the task in the Airflow UI"

    def __init__(self, message: str, *, next_action: str | None = None) -> None:
        # A message often holds what a host, a finding or AWS said; it is logged, stored, mailed and shown from here.
        self.message = single_line(message)
        super().__init__(self.message)
        self.next_action = single_line(named(next_action or self.default_action))

    def __reduce__(self) -> tuple[Callable[..., ForensicsError], tuple[object, ...]]:
        # Keyword-only arguments do not survive pickling by themselves.
        return (_rebuild, (type(self), self.message, self.next_action))


def _rebuild(kind: type[ForensicsError], message: str, next_action: str) -> ForensicsError:
    return kind(message, next_action=next_action)


class ConfigurationError(ForensicsError):
    """A setting is missing or wrong."""

    retryable = False


class FindingError(ForensicsError):
    """A finding or request cannot be processed as it is."""

    retryable = False


class CaseError(ForensicsError):
    """The case is missing or in the wrong state."""


class InvalidCaseError(CaseError):
    """The request for a case is not valid."""

    retryable = False


class CaseConflictError(CaseError):
    """Another open case holds the instance."""

    retryable = False


class StoredItemError(CaseError):
    """An item of the case store that this release cannot read."""

    retryable = False
    default_action = (
        "if a newer release has worked on the case, deploy that release again: nothing was changed and the case goes on there"
        " (docs/upgrade.md). Otherwise compare the item with the case's ledger"
    )

    @classmethod
    def of(cls, kind: str, data: object, why: str) -> Self:
        """``kind`` is the model that was expected; the case is named where the item names it."""
        case_id = data.get("case_id") if isinstance(data, dict) else None
        about = f" of case {case_id}" if isinstance(case_id, str) else ""
        return cls(f"a stored {kind}{about} cannot be read by this release: {why}")


class UnsupportedTargetError(ForensicsError):
    """No document exists for this activity and platform."""

    retryable = False


class AcquisitionError(ForensicsError):
    """Evidence could not be acquired."""


class MemoryCaptureError(AcquisitionError):
    """The memory capture failed."""


class SnapshotError(AcquisitionError):
    """A snapshot or its copy failed."""


class EvidenceTransferError(AcquisitionError):
    """Evidence could not be stored."""


class EvidenceSizeError(EvidenceTransferError):
    """More landed, or is said to have landed, than what it claims to be can have."""

    retryable = False


class RecordSourceError(AcquisitionError):
    """A source of an account's records gives none: the next one is asked, and this one is named with its reason."""


class ConfinedError(AcquisitionError):
    """What a target sent was too much for the process that judges it; the message says what was exceeded."""

    retryable = False
    default_action = (
        "take what the target sent for an attack on the pipeline: it is kept as far as it was stored; isolate the target, continue"
        " with its disks"
    )


class CustodyError(ForensicsError):
    """Evidence or ledger is not as it was recorded."""

    retryable = False
    default_action = "treat the evidence as damaged; do not clear the task before an examiner has looked at the ledger"


class RetentionError(ForensicsError):
    """A part of the evidence could not be kept as long as it has to be."""

    default_action = "remove the cause; the DAG evidence_retention tries again every day, or start it now"


class DigestMismatchError(CustodyError):
    """Two digests of the same bytes differ."""


class CustodyChainError(CustodyError):
    """The custody ledger's chain is broken."""


class AuditError(CustodyError):
    """An audit found that evidence, ledger, signatures or locks are not what they were."""


class ContainmentError(ForensicsError):
    """Containment is not complete."""

    default_action = "isolate the instance manually now, then clear the containment task"


class HeldElsewhereError(ContainmentError):
    """Another deployment has contained the target: this one neither contains it a second time nor opens it."""

    retryable = False
    default_action = (
        "release the target in the deployment that contained it, then clear containment.plan_containment and"
        " containment.isolate_target of this case"
    )


class ApprovalError(ContainmentError):
    """A question to people, or its approval, is not the one on record any more."""

    retryable = False


class InvestigationError(ForensicsError):
    """A tool run on the forensic instance failed."""


class ChannelError(ForensicsError):
    """A channel did not take a message; it is tried again, and its case goes on."""


class SweepError(ForensicsError):
    """A sweep cannot be done as it was asked for; no case is concerned."""

    retryable = False


class PushError(ForensicsError):
    """Another system did not take a case; the case itself is complete without it."""


class DrillError(ForensicsError):
    """A drill cannot go on; nothing of anybody's is concerned."""


class AwsError(ForensicsError):
    """AWS refused or failed a call."""

    code = ""


class AccessDeniedError(AwsError):
    """The role may not do this."""

    default_action = "check the phase role's policy and trust in the account named above (infra/cloudformation)"


class ThrottledError(AwsError):
    """AWS limits the rate or a quota is reached."""


class ResourceGoneError(AwsError):
    """The resource does not exist, or no longer."""

    retryable = False


class ConflictError(AwsError):
    """A condition of the call was not met."""

    retryable = False


class UnreachableError(AwsError):
    """There is no way to the endpoint from where the call was made, or it does not answer."""

    default_action = (
        "open the network path from Airflow's subnets to the endpoint named above: parameters.Profile in deployment.yaml decides"
        " which ways stacks forensics-network and forensics-endpoints make (with a VPC of your own: docs/deployment.md);"
        " then clear the task"
    )
