"""One harmless call: whatever AWS says is an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forensics.aws.denials import Cause
from forensics.aws.reach import ReachGateway
from tests.unit.aws.conftest import Stub


@dataclass
class OneClient:
    """A session that has one client."""

    made: Any

    def client(self, service: str) -> Any:
        return self.made


def test_a_success_and_a_refusal_are_answers(stubbed: Stub) -> None:
    stub = stubbed("sts")
    stub.add_response("get_caller_identity", {"Account": "222233334444"})
    stub.add_client_error("get_caller_identity", "AccessDenied", "no VPC endpoint policy allows the action")
    reach = ReachGateway(OneClient(stub.client))  # type: ignore[arg-type]
    assert reach.ask("sts", "get_caller_identity", {}).cause is None
    answer = reach.ask("sts", "get_caller_identity", {})
    assert (answer.cause, answer.code) == (Cause.ENDPOINT_POLICY, "AccessDenied")
