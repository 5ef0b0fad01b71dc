"""The names by which people know a target: the account's alias and the instance's name, for the subjects of messages."""

from __future__ import annotations

import logging
from collections.abc import Callable

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.iam import IamGateway
from forensics.aws.session import AwsSession
from forensics.errors import ForensicsError
from forensics.models.notices import CaseLabel

log = logging.getLogger(__name__)


def read_label(session: Callable[[], AwsSession], instance_id: str | None) -> CaseLabel:
    """Alias and name, asked for under the triage role in the target's account with time-outs of seconds.

    What cannot be read is left out: subjects have ids then, and nothing waits for it. Without an instance only the alias is
    asked for.
    """

    def name(found: AwsSession) -> str:
        described = Ec2Gateway.of(found).raw_instance(instance_id) if instance_id else {}
        return next((tag["Value"] for tag in described.get("Tags", []) if tag["Key"] == "Name"), "")

    def alias(found: AwsSession) -> str:
        return IamGateway.of(found).account_alias()

    return CaseLabel(account_alias=_or_nothing(session, alias), instance_name=_or_nothing(session, name))


def _or_nothing(session: Callable[[], AwsSession], ask: Callable[[AwsSession], str]) -> str:
    try:
        return ask(session().impatient())
    except ForensicsError as error:
        log.warning("messages name the target by its ids: %s", error)
        return ""
