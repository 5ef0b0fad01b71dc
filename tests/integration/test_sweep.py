"""A sweep against the lab: planted files on a target, a snapshot, hosts that cannot be asked, a host that lies, budgets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import case_keys
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.incident.sweep_operators import ConcludeSweepOperator, PlanSweepOperator, SweepTargetOperator
from forensics.incident.sweep_record import sweeps_of
from forensics.models.case import CaseStatus, Phase
from forensics.models.custody import CustodyAction
from forensics.models.sweeps import SweepReport, SweepState, SweptTarget
from forensics.naming import SWEEP
from forensics.settings import get_settings
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

DROPPER = "#!/bin/sh\nexec /tmp/.x\n"
DIGEST = hashlib.sha256(DROPPER.encode()).hexdigest()
LIMITS = {"files": 400, "mib": 200, "seconds": 30, "blocks": 64}


@pytest.fixture(autouse=True)
def quiet(lab: SmallLab) -> None:
    """No command is lost: tests/integration/test_ssm_as_it_is.py has those."""
    lab.control("config", {"ssm_first_lost_share": 0, "ssm_late_answer_share": 0})


def plant(lab: SmallLab, files: dict[str, str]) -> str:
    """Files on the web server; returns its id."""
    instance = str(lab.facts["instances"]["web-server"]["instance_id"])
    (record,) = [r for r in lab.control("instance")["instances"] if r["instance_id"] == instance]
    lab.control("instance", {**record, "planted": files})
    return instance


def sweep(lab: SmallLab, *, run_id: str = "manual__sweep", **form: Any) -> SweepReport:
    """The DAG's steps in their order."""
    place = lab.facts["instances"]["web-server"]
    given = {"account_id": place["account"], "region": place["region"], **LIMITS, **form}
    targets = perform(PlanSweepOperator(task_id="plan_sweep"), params=given, run_id=run_id, user="ada")
    for target in targets:
        perform(SweepTargetOperator(task_id="sweep_target", target=target), run_id=run_id)
    return SweepReport.model_validate(perform(ConcludeSweepOperator(task_id="conclude_sweep"), run_id=run_id))


def test_planted_files_are_found_and_told_with_the_command_that_opens_a_case(lab: SmallLab) -> None:
    instance = plant(
        lab, {"/opt/.cache/Dropper.sh": DROPPER, "/etc/cron.d/x": "* * * * * root curl updates.evil.example\n"}
    )
    before = lab.client("ssm", "member").list_commands(InstanceId=instance)["Commands"]
    report = sweep(
        lab,
        instances=instance,
        indicators=f"{DIGEST}\nupdates.evil.example\nfile: dropper.sh\nuser: nobody\n203.0.113.9",
    )
    (swept,) = report.targets
    assert swept.state is SweepState.FOUND and "by the host's own word" in swept.looked
    whole = case_store().get(SWEEP, f"{case_keys.SWEPT}{report.order.sweep_id}#{swept.target.name}", SweptTarget)
    assert whole is not None
    assert {(h.kind.value, h.value, h.at) for h in whole.hits} == {
        ("hash", DIGEST, "/opt/.cache/Dropper.sh"),
        ("file name", "dropper.sh", "/opt/.cache/Dropper.sh"),
        ("domain", "updates.evil.example", "/etc/cron.d/x"),
        ("user", "nobody", "/etc/passwd"),
    }
    (mail,) = [m for m in lab.mail() if m["attributes"]["event"] == "sweep"]
    assert f"forensics start {instance} --account {swept.target.account_id} --in-region eu-central-1" in mail["message"]
    sent = [c for c in lab.client("ssm", "member").list_commands(InstanceId=instance)["Commands"] if c not in before]
    assert [c["DocumentName"] for c in sent] == ["forensics-sweep_linux"]
    # a cleared task reads the same command's answer
    perform(
        SweepTargetOperator(task_id="t", target=f"{report.order.sweep_id}|{swept.target.name}"), run_id="manual__sweep"
    )
    assert len(lab.client("ssm", "member").list_commands(InstanceId=instance)["Commands"]) == len(before) + 1


def test_what_is_not_there_is_not_found_and_a_spent_budget_is_said(lab: SmallLab) -> None:
    instance = plant(lab, {f"/opt/data/{n}": f"{n}\n" for n in range(100)})
    report = sweep(lab, instances=instance, indicators=DIGEST, files=64)
    (swept,) = report.targets
    assert swept.state is SweepState.INCOMPLETE and not swept.hits
    assert "digests of more than 64 files" in swept.reason
    assert not [m for m in lab.mail() if m["attributes"]["event"] == "sweep"], "nothing was found"


def test_targets_that_cannot_be_asked_are_not_examined_each_with_its_reason(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, database = (lab.facts["instances"][name] for name in ("web-server", "db-server"))
    monkeypatch.setenv("AIRFLOW__FORENSICS__MEMBER_ACCOUNTS", web["account"])
    get_settings.cache_clear()
    case_id = open_case(lab)
    elsewhere = f"999988887777/eu-central-1/{web['instance_id']}"
    abroad = f"{web['account']}/us-east-1/{web['instance_id']}"
    with pytest.raises(AirflowFailException, match="no target could be examined"):
        sweep(
            lab, instances=f"{web['instance_id']} {database['instance_id']}\n{elsewhere}\n{abroad}", indicators=DIGEST
        )
    swept = [SweptTarget.stored(data) for _, data in case_store().items(SWEEP, case_keys.SWEPT)]
    reasons = {s.target.name: s.reason for s in swept}
    assert {s.state for s in swept} == {SweepState.NOT_EXAMINED}
    place = f"{web['account']}/{web['region']}"
    assert f"case {case_id} is open on it" in reasons[f"{place}/{web['instance_id']}"]
    assert "SSM does not manage it" in reasons[f"{place}/{database['instance_id']}"]
    assert "account 999988887777 is none of the deployment's member accounts" in reasons[elsewhere]
    assert "us-east-1 is none of the deployment's Regions" in reasons[abroad]
    assert not lab.client("ssm", "member").list_commands(InstanceId=web["instance_id"])["Commands"]


def hostile(order_id: str) -> dict[str, dict[str, object]]:
    """Answers of a host that lies, by what is wrong with them."""
    good = {"status": "ok", "case_id": order_id, "files": 5, "mib": 1, "processes": 3, "connections": 1, "found": []}
    return {
        "not one of the document": {**good, "found": [{"kind": "hash", "n": 1, "at": "x"}] * 100},
        "its answer is to another question": {**good, "case_id": "sw-20200101-0000000000"},
        "cannot be: it hides them": {**good, "files": 0},
        "were not asked for": {
            **good,
            "found": [{"kind": "hash", "n": 7, "at": "/x"}, {"kind": "user", "n": 1, "at": "/y"}],
        },
        "\u2067not at what": {**good, "status": "partial", "left": ""},
    }


@pytest.mark.parametrize("wrong", list(hostile("")))
def test_a_host_that_lies_is_never_called_clean(lab: SmallLab, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = plant(lab, {})
    read = SsmGateway.invocation

    def lying(self: SsmGateway, *, command_id: str, instance_id: str) -> Invocation | None:
        found = read(self, command_id=command_id, instance_id=instance_id)
        if found is None or not found.finished:
            return found
        (order_id,) = {str(found.status_line()["case_id"])}
        return found.model_copy(update={"stdout": json.dumps(hostile(order_id)[wrong]), "status": "Success"})

    monkeypatch.setattr(SsmGateway, "invocation", lying)
    form = {"instances": instance, "indicators": DIGEST, "files": 16}
    try:
        (swept,) = sweep(lab, **form).targets
    except AirflowFailException:
        (swept,) = [SweptTarget.stored(data) for _, data in case_store().items(SWEEP, case_keys.SWEPT)]
    assert swept.state in {SweepState.INCOMPLETE, SweepState.NOT_EXAMINED} and not swept.hits
    assert wrong.removeprefix("\u2067") in swept.reason


def test_a_snapshot_is_searched_for_texts_and_what_cannot_be_seen_there_is_said(lab: SmallLab) -> None:
    place = lab.facts["instances"]["web-server"]
    ec2, ebs = lab.client("ec2", "member"), lab.client("ebs", "member")
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    words = b"GET http://UPDATES.evil.example/x" + b"\0" * 9 + "Dropper.sh".encode("utf-16-le")
    halves = bytes(524_288 - 7) + b"198.51.", b"100.23 " + words + bytes(524_288 - 7 - len(words))
    for index, data in enumerate(halves):
        put(ebs, snapshot, index, data)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=2)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot])
    report = sweep(
        lab,
        snapshots=f"{place['account']}/{place['region']}/{snapshot}",
        indicators=f"198.51.100.23\n8.51.100.2\nupdates.evil.example\nfile: dropper.sh\n{DIGEST}",
    )
    (swept,) = report.targets
    assert swept.state is SweepState.FOUND
    assert {(h.kind.value, h.at.split(":")[0]) for h in swept.hits} == {
        ("address", "byte 524,281"),
        ("domain", "byte 524,306"),
        ("file name", "byte 524,337"),
    }
    assert "digests: raw blocks have no files" in swept.reason and "2 written blocks" in swept.looked
    (cut,) = sweep(lab, run_id="manual__cut", snapshots=snapshot, indicators="absent.evil.example", blocks=1).targets
    assert cut.state is SweepState.INCOMPLETE and "the budget of 1 blocks" in cut.reason
    (clean,) = sweep(lab, run_id="manual__clean", snapshots=snapshot, indicators="absent.evil.example").targets
    assert (clean.state, clean.reason) == (SweepState.NOT_FOUND, "")


def put(ebs: Any, snapshot: str, index: int, data: bytes) -> None:
    """Write one block of a snapshot."""
    import base64

    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    ebs.put_snapshot_block(
        SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=len(data), Checksum=checksum, ChecksumAlgorithm="SHA256"
    )  # fmt: skip


def test_a_cases_sweep_is_in_its_ledger_and_told_in_the_case(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    case_store().update_case(case_id, phase=Phase.DONE)
    case_store().end_case(case_id, status=CaseStatus.CLOSED)
    instance = plant(lab, {"/opt/Dropper.sh": DROPPER})
    report = sweep(lab, instances=instance, case_id=case_id, indicators=DIGEST, reason="ticket 7")
    assert report.targets[0].state is SweepState.FOUND
    recorder = recorder_of(case_id)
    (event,) = [e for e in recorder.gateways.ledger.events(case_id) if e.action is CustodyAction.INDICATORS_SWEPT]
    assert event.detail["ordered_by"] == "ada" and event.detail["reason"] == "ticket 7"
    (stated,) = event.detail["targets"]
    assert stated["state"] == "found" and stated["document"] == "forensics-sweep_linux" and stated["command"]
    recorder.gateways.ledger.verified(case_id)
    assert [s.order.sweep_id for s in sweeps_of(case_store(), case_id)] == [report.order.sweep_id]
    (mail,) = [m for m in lab.mail() if m["attributes"]["event"] == report.order.sweep_id]
    assert "forensics start" in mail["message"] and case_id in mail["message"]
    perform(ConcludeSweepOperator(task_id="conclude_sweep"), run_id="manual__sweep")
    assert len([e for e in recorder.gateways.ledger.events(case_id) if e.action is CustodyAction.INDICATORS_SWEPT]) == 1


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"indicators": DIGEST}, "no instance and no snapshot is named"),
        ({"instances": "i-0123456789abcdef0"}, "no indicator is named"),
        ({"instances": "i-0123456789abcdef0", "indicators": "rm -rf /"}, "1 line of the indicators cannot be read"),
        ({"instances": "snap-0123456789abcdef0", "indicators": DIGEST}, "1 target cannot be read"),
        ({"instances": "i-0123456789abcdef0", "case_id": "fc-20200101-0123456789"}, "there is no case fc-20200101"),
    ],
)
def test_a_form_that_cannot_be_carried_out_is_refused_with_what_is_wrong(
    lab: SmallLab, form: dict[str, str], said: str
) -> None:
    with pytest.raises(AirflowFailException, match=said):
        sweep(lab, **form)
