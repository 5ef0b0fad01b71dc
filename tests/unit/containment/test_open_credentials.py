"""Which credentials may still work is named role by role, with the reason."""

from __future__ import annotations

from forensics.containment.open_credentials import open_credentials
from forensics.models.containment import ContainmentStep, PlanStep
from forensics.models.target_facts import InstanceFacts, ProfileFacts
from tests.unit.containment.targets import everything, planned

OUT = "list inline policies of role app: AWS could not be reached"


def left(target: InstanceFacts, **policy: object) -> tuple[PlanStep, ...]:
    """What a plan made now would still do about credentials."""
    return planned(target, **policy).credentials.steps


def step(name: str, *, done: bool, detail: str = "") -> ContainmentStep:
    """How a step ended."""
    return ContainmentStep(name=name, target="app", done=done, detail=detail)


def test_nothing_left_is_nothing_open() -> None:
    assert open_credentials((), facts=everything(), steps=()) == ()


def test_each_way_in_is_a_line_of_its_own() -> None:
    lines = open_credentials(left(everything(), revoke_role=True), facts=everything(iam_unknown=(OUT,)), steps=())
    assert lines == (
        f"the metadata service still issues credentials to the host: {OUT}",
        f"credentials of role app that the instance was issued are still valid: {OUT}",
        f"sessions of role app that others hold are still valid: {OUT}",
        f"instance profile app is still on the instance: {OUT}",
    )


def test_the_reason_of_the_step_that_failed_counts_first() -> None:
    (denial,) = [s for s in left(everything()) if s.id == "credentials.deny"]
    tried = (step("credentials.deny", done=False, detail="AccessDenied"),)
    (line,) = open_credentials((denial,), facts=everything(iam_unknown=(OUT,)), steps=tried)
    assert line == "credentials of role app that the instance was issued are still valid: AccessDenied"


def test_a_denial_that_iam_does_not_confirm_is_not_called_open() -> None:
    (denial,) = [s for s in left(everything()) if s.id == "credentials.deny"]
    tried = (step("credentials.deny", done=True),)
    (line,) = open_credentials((denial,), facts=everything(iam_unknown=(OUT,)), steps=tried)
    assert line == f"credentials of role app were denied to the instance, which IAM has not confirmed: {OUT}"


def test_a_role_that_nobody_knows_is_named_by_its_profile() -> None:
    unread = ProfileFacts(association_id="iip-1", name="web", arn="arn", role_unread=True)
    (denial,) = [s for s in left(everything(profile=unread)) if s.id == "credentials.deny"]
    (line,) = open_credentials((denial,), facts=everything(), steps=())
    assert line == "credentials of the role of web that the instance was issued are still valid: no reason is known"
