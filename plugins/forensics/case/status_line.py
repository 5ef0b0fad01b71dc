"""The last line of a document's output as the model of its activity."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from forensics.aws.ssm import Invocation
from forensics.errors import ForensicsError
from forensics.models.status_lines import DocumentStatus

S = TypeVar("S", bound=DocumentStatus)


def read_status(
    invocation: Invocation, model: type[S], *, error: type[ForensicsError], next_action: str | None = None
) -> S:
    """The status line of a command that ended well; raises ``error``, which names the fields, when it has another form."""
    try:
        return model.model_validate(invocation.status_line())
    except ValidationError as invalid:
        if invocation.without_plugin:
            raise error(invocation.cause(), next_action=invocation.next_action("")) from None
        wrong = ", ".join(dict.fromkeys(_field(problem) for problem in invalid.errors()))
        msg = f"command {invocation.command_id} succeeded without a valid status line ({wrong}): {invocation.stdout[-300:]!r}"
        raise error(msg, next_action=next_action) from None


def _field(problem: ErrorDetails) -> str:
    """The field that a problem is about, or what is wrong with the line as a whole."""
    return str(problem["loc"][0]) if problem["loc"] else problem["msg"].removeprefix("Value error, ")
