"""Whose credentials these are."""

from __future__ import annotations

from forensics.aws.error_map import aws_errors
from forensics.aws.sessions import Sessions


def caller_arn(sessions: Sessions) -> str:
    """The ARN of the base identity (STS GetCallerIdentity, which every identity may call); raises :class:`AwsError`."""
    with aws_errors("ask STS who you are"):
        return sessions.own().sts.get_caller_identity()["Arn"]
