"""What is trusted, which targets are protected, and which limits apply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import pytest

from forensics.custody.signed_documents import SignatureError, SignedDocuments
from forensics.triage.finding_verifier import FindingVerifier
from forensics.triage.isolation_guard import IsolationGuard, IsolationLimits
from forensics.triage.isolation_rate_limiter import IsolationCap, IsolationRateLimiter
from forensics.triage.never_isolate import Protection
from forensics.triage.organization import OrganizationReader
from forensics.triage.policy import packaged
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION, target


class Documents(SignedDocuments):
    """Signed documents by key; others are not signed."""

    def __init__(self, **bodies: bytes) -> None:
        self.bodies = bodies

    def origin(self, key: str) -> str:
        return f"s3://tools/{key}"

    def read(self, key: str) -> bytes:
        if key not in self.bodies:
            raise SignatureError(f"{key} is not signed")
        return self.bodies[key]


class Limiter(IsolationRateLimiter):
    """Keeps what it was asked, and refuses when asked to."""

    def __init__(self, answer: str | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, list[IsolationCap]]] = []

    def reserve(self, case_id: str, caps: Sequence[IsolationCap], *, now: datetime) -> str | None:
        self.asked.append((case_id, list(caps)))
        return self.answer


class NoLookUps(FindingVerifier):
    """Nothing is looked up here."""

    def __init__(self) -> None:
        """It has nobody to ask."""


LIST = json.dumps(
    {
        "schema": "forensics.never-isolate/1",
        "version": "7",
        "entries": [{"id": "dc", "kind": "instance", "value": INSTANCE, "reason": "domain controller"}],
    }
).encode()


def guard(documents: Documents | None = None, limiter: Limiter | None = None, **keys: str) -> IsolationGuard:
    return IsolationGuard(
        verifier=NoLookUps(),
        documents=documents or Documents(),
        rate_limiter=limiter or Limiter(),
        limits=IsolationLimits(everywhere=20, account=5, group=2),
        organization=OrganizationReader(list),
        **keys,
    )


def test_without_a_policy_of_its_own_the_deployment_has_the_packaged_one() -> None:
    assert guard().policy() == (packaged(), ())


def test_a_signed_policy_is_used() -> None:
    from importlib import resources

    body = resources.files("forensics.triage").joinpath("policy.yaml").read_bytes() + b"\n# ours\n"
    loaded, doubts = guard(Documents(own=body), policy_key="own").policy()
    assert doubts == () and loaded.origin == "s3://tools/own" and loaded.sha256 != packaged().sha256


@pytest.mark.parametrize(
    ("documents", "reason"),
    [(Documents(), "own is not signed"), (Documents(own=b"version: 1"), "s3://tools/own is not valid")],
    ids=["unsigned", "invalid"],
)
def test_a_policy_that_cannot_be_trusted_is_replaced_with_a_doubt(documents: Documents, reason: str) -> None:
    loaded, (doubt,) = guard(documents, policy_key="own").policy()
    assert loaded == packaged()
    assert doubt.startswith(f"the policy is not used, the packaged one is: {reason}")


def test_the_signed_list_protects_its_targets() -> None:
    protected, doubts = guard(Documents(list=LIST), list_key="list").protected(target(), now=NOW)
    assert (protected, doubts) == (Protection(vetoes=(f"dc (instance {INSTANCE}): domain controller",)), ())
    other = target(instance_id="i-0fffffffffffffff9")
    assert guard(Documents(list=LIST), list_key="list").protected(other, now=NOW) == (Protection(), ())
    assert guard().protected(target(), now=NOW) == (Protection(), ())


def test_a_list_that_cannot_be_trusted_is_a_doubt() -> None:
    protected, doubts = guard(list_key="list").protected(target(), now=NOW)
    assert (protected, doubts) == (Protection(), ("the never-isolate list cannot be trusted: list is not signed",))


@pytest.mark.parametrize("group", [None, "web"])
def test_limits_are_asked_the_narrowest_first(group: str | None) -> None:
    limiter = Limiter("the cap is reached")
    reason = guard(limiter=limiter).over_cap(CASE_ID, target(auto_scaling_group=group), now=NOW)
    assert reason == "the cap is reached"
    wide = [IsolationCap(f"ACCOUNT#{ACCOUNT}", f"account {ACCOUNT}", 5), IsolationCap("ALL", "all accounts", 20)]
    narrow = [IsolationCap(f"GROUP#{ACCOUNT}#{REGION}#web", "Auto Scaling group web", 2)] if group else []
    assert limiter.asked == [(CASE_ID, [*narrow, *wide])]
