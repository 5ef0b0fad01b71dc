"""The second person's approval without Airflow: a statement about one plan, signed with a KMS key that only approvers may sign with.

Who breaks the glass and who approves come by two roles that no person has both of (infra/cloudformation/break-glass.yaml), so a valid
signature is a second person's. The statement travels as one line of text by any channel: changed, it is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, ValidationError

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.session import AwsSession
from forensics.custody.chain import canonical
from forensics.deployment import DEPLOYMENT
from forensics.errors import ApprovalError
from forensics.models.approval import ApprovalSubject, Person
from forensics.models.base import Model, Utc

KEY = f"alias/{DEPLOYMENT}-break-glass"
MAXIMUM_CHARACTERS = 16_384
ASK_ANOTHER = "let the second person run `forensics break-glass approve` for the plan as it is now"


class ApprovalStatement(Model):
    """What the second person signs. ``by`` is the ARN that STS says of them; the plan is named by its digest."""

    schema_: Literal["forensics.break-glass-approval/1"] = Field(
        default="forensics.break-glass-approval/1", alias="schema"
    )
    case_id: str = Field(max_length=40)
    subject: ApprovalSubject
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    run_id: str = Field(max_length=200)
    by: str = Field(max_length=500)
    expires_at: Utc

    @property
    def person(self) -> Person:
        """Who approves."""
        return person_of(self.by)


class SignedApproval(Model):
    """A statement as it was signed, byte for byte, and the base64 of the signature over its SHA-384."""

    statement: str = Field(max_length=MAXIMUM_CHARACTERS)
    signature: str = Field(max_length=2_000)


def key_of(session: AwsSession) -> SigningKeyGateway:
    """The key of approvals under a session's role: approvers sign, those who break the glass verify."""
    return SigningKeyGateway(session.kms, key_id=KEY)


def person_of(arn: str) -> Person:
    """A person by what STS GetCallerIdentity says: the login is the session's or the user's name, the last part of the ARN."""
    return Person(id=arn, login=arn.rpartition("/")[2] or arn)


def sign(statement: ApprovalStatement, key: SigningKeyGateway) -> str:
    """The line of text that the second person sends."""
    text = canonical(statement.model_dump(mode="json", by_alias=True))
    made = SignedApproval(statement=text.decode(), signature=key.sign(text, what="the approval").signature)
    return base64.urlsafe_b64encode(made.model_dump_json().encode()).decode()


def read(line: str, key: SigningKeyGateway) -> ApprovalStatement:
    """The statement of such a line. Raises :class:`ApprovalError` unless the key has signed it."""
    if len(line) > MAXIMUM_CHARACTERS:
        raise ApprovalError("the approval is longer than any that was made here", next_action=ASK_ANOTHER)
    try:
        text = base64.b64decode(line.strip().encode("ascii"), altchars=b"-_", validate=True)
        signed = SignedApproval.model_validate_json(text)
        signature = base64.b64decode(signed.signature, validate=True)
    except (ValidationError, binascii.Error, ValueError) as error:
        msg = "the approval is not a line that `forensics break-glass approve` has made"
        raise ApprovalError(msg, next_action="paste the whole line; it may have been cut or wrapped") from error
    if not key.verify(hashlib.sha384(signed.statement.encode()).digest(), signature):
        raise ApprovalError("the signature of the approval is not one of the approvers' key", next_action=ASK_ANOTHER)
    return ApprovalStatement.model_validate_json(signed.statement)


def why_not_good(
    statement: ApprovalStatement,
    *,
    case_id: str,
    subject: ApprovalSubject,
    digest: str,
    run_id: str,
    asker: Person,
    now: datetime,
) -> str | None:
    """Why a signed statement approves nothing here; None when it is about this plan, of another person, and in time."""
    if statement.case_id != case_id or statement.subject is not subject:
        return f"it approves the {statement.subject.value} of case {statement.case_id}"
    if statement.digest != digest:
        return f"it approves the plan {statement.digest[:12]}, and the plan now is {digest[:12]}"
    if statement.run_id != run_id:
        return f"it answers the question {statement.run_id}, and the one on record is {run_id}"
    if statement.person.is_same_as(asker):
        return f"{statement.person} asked for it and may not approve it"
    if now >= statement.expires_at:
        return f"it ended at {statement.expires_at:%Y-%m-%d %H:%M:%SZ}"
    return None


def valid_until(now: datetime, *, seconds: int) -> datetime:
    """End of an approval that is given now."""
    return now + timedelta(seconds=seconds)
