"""What each service receives about a finding, and through which detector."""

from __future__ import annotations

import pytest

from forensics.errors import ResourceGoneError
from forensics.intake.finding_lookup import FindingLookup
from forensics.intake.write_back import NOTE_LENGTH, FindingWriteBack, WriteBackStage
from forensics.models.finding import Finding, FindingSource
from tests.unit.builders import ACCOUNT, finding
from tests.unit.intake.services import GuardDutyInMemory, HubInMemory

ARN = f"arn:aws:guardduty:eu-central-1:{ACCOUNT}:detector/d/finding/f1"
ASFF = finding(finding_id=ARN, source=FindingSource.SECURITY_HUB)
OCSF = finding(finding_id=ARN, source=FindingSource.SECURITY_HUB_V2, ocsf=True)
NATIVE = finding(finding_id=ARN)


class Services:
    """One account's services that know the finding, and a write-back to them."""

    def __init__(self, *, archive: bool = False, feedback: bool = True, detector: str = "members-detector") -> None:
        self.hub = HubInMemory(
            records={ARN: {"AwsAccountId": ACCOUNT, "ProductArn": "arn:product"}},
            ocsf_records={ARN: {"metadata": {"uid": "m-1"}}},
        )
        self.guardduty = GuardDutyInMemory(records={"f1": {"Service": {"DetectorId": detector}}})
        self.write_back = FindingWriteBack(
            lookup=FindingLookup(security_hub=self.hub, guardduty=self.guardduty),
            security_hub=self.hub,
            guardduty=self.guardduty,
            archive_guardduty=archive,
            guardduty_feedback=feedback,
        )


@pytest.mark.parametrize(
    ("stage", "workflow"), [(WriteBackStage.IN_PROGRESS, "NOTIFIED"), (WriteBackStage.RESOLVED, "RESOLVED")]
)
def test_security_hub_gets_a_note_and_the_workflow(stage: WriteBackStage, workflow: str) -> None:
    services = Services()
    services.write_back.annotate(ASFF, text="case fc-1", stage=stage)
    assert services.hub.updates == [
        {
            "finding_id": ARN,
            "product_arn": "arn:product",
            "note": "case fc-1",
            "author": "ec2-forensics",
            "workflow": workflow,
        }
    ]


@pytest.mark.parametrize(("stage", "status"), [(WriteBackStage.IN_PROGRESS, 2), (WriteBackStage.RESOLVED, 4)])
def test_the_new_security_hub_gets_a_comment_and_the_status(stage: WriteBackStage, status: int) -> None:
    services = Services()
    services.write_back.annotate(OCSF, text="case fc-1", stage=stage)
    assert services.hub.updates == [
        {"finding_id": ARN, "metadata_uid": "m-1", "comment": "case fc-1", "status_id": status}
    ]


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("stage", WriteBackStage)
def test_guardduty_gets_feedback_only_when_asked_and_archives_only_what_is_resolved(
    stage: WriteBackStage, archive: bool, feedback: bool
) -> None:
    services = Services(archive=archive, feedback=feedback)
    services.write_back.annotate(NATIVE, text="case fc-1", stage=stage)
    where = {"finding_id": "f1", "detector": "own-detector"}
    assert services.guardduty.comments == ([{**where, "text": "case fc-1"}] if feedback else [])
    assert services.guardduty.archived == ([where] if archive and stage is WriteBackStage.RESOLVED else [])


def test_an_account_without_a_detector_is_an_error_with_a_next_step() -> None:
    services = Services()
    services.guardduty.known_detectors = ()
    with pytest.raises(ResourceGoneError, match="has no GuardDuty detector") as caught:
        services.write_back.annotate(NATIVE, text="x", stage=WriteBackStage.IN_PROGRESS)
    assert "GuardDuty" in caught.value.next_action


def test_the_records_own_detector_is_used_where_the_account_has_it() -> None:
    services = Services(detector="second")
    services.guardduty.known_detectors = ("first", "second")
    services.write_back.annotate(NATIVE, text="x", stage=WriteBackStage.IN_PROGRESS)
    assert services.guardduty.comments[0]["detector"] == "second"


def test_a_long_note_is_cut_to_what_the_services_take() -> None:
    services = Services()
    services.write_back.annotate(ASFF, text="x" * 600, stage=WriteBackStage.IN_PROGRESS)
    assert services.hub.updates[0]["note"] == "x" * (NOTE_LENGTH - 1) + "…"


@pytest.mark.parametrize("item", [ASFF, OCSF, NATIVE], ids=["asff", "ocsf", "guardduty"])
def test_a_finding_that_the_service_does_not_know_is_an_error(item: Finding) -> None:
    services = Services()
    unknown = item.model_copy(update={"finding_id": f"{ARN}2"})
    with pytest.raises(ResourceGoneError, match=f"is not known to {item.source.value} of account 111122223333"):
        services.write_back.annotate(unknown, text="x", stage=WriteBackStage.IN_PROGRESS)
    assert services.hub.updates == services.guardduty.comments == []
