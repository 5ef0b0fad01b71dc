"""The custom action ForensicRelease on a finding orders the release of the case that contained its instance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.hook import ForensicsHook
from forensics.errors import FindingError
from forensics.intake.finding_handler import FindingHandler
from forensics.intake.run_orders import TriggeredDags
from forensics.models.finding import CustomAction, FindingSource
from tests.gateways import case_store, intake_gateways
from tests.integration.conftest import SmallLab
from tests.unit.builders import finding

AT = datetime(2026, 11, 24, 3, 0, 10, tzinfo=UTC)


def handler() -> FindingHandler:
    """The intake's handler, with a DAG for releases."""
    return FindingHandler(intake_gateways(), ForensicsHook().settings, TriggeredDags(release="forensic_release"))


def order(instance_id: str, **changes: Any) -> Any:
    """The finding as the custom action sends it."""
    place = {"instance_id": instance_id, "source": FindingSource.SECURITY_HUB_ACTION}
    return finding(action=CustomAction.RELEASE, key=f"key-{instance_id}", **{**place, **changes})


def test_an_order_starts_one_release_of_the_case_and_opens_none(lab: SmallLab) -> None:
    work, instance = handler(), "i-0e000000000000001"
    store = case_store()
    opener = finding(instance_id=instance, key=f"key-{instance}")
    _, (first,) = work.admit(opener, AT)
    store.put_once(first.run_id, "RESTORE#original", {"facts": "kept"})

    how, (release,) = work.admit(order(instance, title="C2 traffic"), AT)
    assert how == "release" and release.dag_id == "forensic_release"
    assert release.conf == {
        "case_id": first.run_id,
        "requester": "custom action ForensicRelease",
        "ordered_by": "custom action ForensicRelease",
        "reason": "ordered on the finding C2 traffic",
    }
    _, (again,) = work.admit(order(instance), AT + timedelta(seconds=30))
    _, (later,) = work.admit(order(instance), AT + timedelta(minutes=5))
    assert again.run_id == release.run_id != later.run_id
    assert len(list(store.items(first.run_id, "FINDING#"))) == 1, "an order is no finding of the case"


def test_an_order_about_an_instance_that_nobody_contained_says_so(lab: SmallLab) -> None:
    work = handler()
    with pytest.raises(FindingError, match="no case has contained i-0e000000000000002"):
        work.admit(order("i-0e000000000000002"), AT)
