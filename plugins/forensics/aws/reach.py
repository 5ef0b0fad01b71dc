"""Does a service answer in a Region, from here: one signed, harmless call with time-outs of seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from forensics.aws.denials import Cause, cause_of
from forensics.aws.error_map import error_code
from forensics.aws.session import AwsSession
from forensics.models.base import Model


class Answer(Model):
    """What came back: ``cause`` is None for a success; ``text`` is the error's, without the identities that it names."""

    cause: Cause | None = None
    code: str = ""
    text: str = ""


class ReachGateway:
    """Calls of a session by name. The caller chooses calls that read, and that the session's role has for its work."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The session's account and Region; give one with short time-outs (:meth:`AwsSession.impatient`)."""
        return cls(session)

    def ask(self, service: str, operation: str, params: Mapping[str, object]) -> Answer:
        """Make the call; whatever AWS says is an answer, not an error."""
        client = self._session.client(service)
        try:
            getattr(client, operation)(**params)
        except (ClientError, BotoCoreError) as error:
            text = str(error.response["Error"].get("Message", "")) if isinstance(error, ClientError) else str(error)
            return Answer(cause=cause_of(error), code=error_code(error), text=text[:400])
        return Answer()
