"""The wait for an image: over when it no longer changes, whatever became of it."""

from __future__ import annotations

import pytest

from forensics.aws.image_builder import BuiltImage, ImageBuilderGateway
from forensics.aws.session import AwsSession
from forensics.investigation.image_triggers import ImageBuiltTrigger

ARN = "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensic/1.0.0/1"
pytestmark = pytest.mark.usefixtures("settings_environment")


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("PENDING", False),
        ("BUILDING", False),
        ("TESTING", False),
        ("DISTRIBUTING", False),
        ("AVAILABLE", True),
        ("FAILED", True),
        ("CANCELLED", True),
        ("DEPRECATED", True),
    ],
)
def test_an_image_is_waited_for_until_it_no_longer_changes(
    monkeypatch: pytest.MonkeyPatch, status: str, over: bool
) -> None:
    asked: list[str] = []

    class Builder:
        def image(self, arn: str) -> BuiltImage:
            asked.append(arn)
            return BuiltImage(arn=arn, status=status, reason="why", ami_id="ami-2")

    def session(hook: object, case_id: str, phase: str = "analyse") -> AwsSession:
        assert case_id == "fc-ami-build"
        return AwsSession(boto=None, account_id="222233334444", region="eu-central-1")  # type: ignore[arg-type]

    monkeypatch.setattr("forensics.aws.hook.ForensicsHook.forensic", session)
    monkeypatch.setattr(ImageBuilderGateway, "of", lambda session: Builder())
    outcome = ImageBuiltTrigger(image_arn=ARN, poll=5.0, deadline=2e9).check()
    assert asked == [ARN]
    assert (outcome is not None) is over
    # Whether the image can be used is decided by the task.
    assert outcome is None or (outcome.ok, outcome.payload) == (
        True,
        {"image_arn": ARN, "status": status, "reason": "why", "ami_id": "ami-2"},
    )
