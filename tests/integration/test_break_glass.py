"""Breaking the glass in the lab: two people, each with a role's session, contain and release a target without Airflow.

The person who breaks the glass and the one who approves are sessions of two roles, as the template makes them; whose they are is what STS
says. The keys' and roles' policies are tested on the template (tests/templates/test_break_glass.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws import session as aws_session
from forensics.break_glass.command import DONE, NOT_DONE, REFUSED, WAITS, main
from forensics.models.containment import ContainmentPlan, ReleasePlan
from forensics.models.custody import CustodyAction
from forensics.settings import get_settings
from forensics_verify.cli import main as verify_bundle
from tests.containment.steps import approval_needed, groups_of, lab, opened, recorder, target
from tests.gateways import case_store
from tests.integration.conftest import ROOT, SmallLab

__all__ = ["approval_needed", "lab", "target"]
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
)


@pytest.fixture(scope="module")
def roles(lab: SmallLab) -> SmallLab:
    """The two roles and the approvers' key."""
    for name in ("forensics-break-glass", "forensics-break-glass-approve"):
        lab.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    kms = lab.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/forensics-break-glass", TargetKeyId=key)
    return lab


Run = Callable[..., int]


@pytest.fixture
def run(roles: SmallLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command as a person; ``who`` is the session's name."""
    settings = get_settings().model_dump(mode="json")
    file = tmp_path / "forensics-settings.json"
    file.write_text(
        json.dumps(
            {"core.parallelism": "8", **{f"forensics.{k}": str(v) for k, v in settings.items() if v not in ("", None)}}
        )
    )
    account = roles.facts["accounts"]["forensic"]

    def call(who: str, *arguments: str, role: str = "forensics-break-glass") -> int:
        with pytest.MonkeyPatch.context() as patch:
            arn = f"arn:aws:iam::{account}:role/{role}"
            made = roles.client("sts").assume_role(RoleArn=arn, RoleSessionName=who)["Credentials"]
            patch.setenv("AWS_ACCESS_KEY_ID", made["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", made["SecretAccessKey"])
            patch.setenv("AWS_SESSION_TOKEN", made["SessionToken"])
            aws_session.forget()
            try:
                return main(["--settings", str(file), *arguments])
            finally:
                aws_session.forget()

    yield call
    aws_session.forget()


def approve(run: Run, capsys: pytest.CaptureFixture[str], *what: str, who: str = "bob") -> str:
    assert run(who, "approve", *what, role="forensics-break-glass-approve") == DONE
    return capsys.readouterr().out.strip().splitlines()[-1]


def digest_of(case_id: str, subject: str) -> str:
    keys: dict[str, tuple[str, Any]] = {
        "release": (case_keys.RELEASE_PLAN, ReleasePlan),
        "containment": (case_keys.CONTAINMENT_PLAN, ContainmentPlan),
    }
    found = case_store().get(case_id, *keys[subject])
    assert found is not None
    return str(found.digest)


def test_one_person_contains_by_plan_two_release_and_the_ledger_has_it_all(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    case_id = opened(roles, target)
    before = groups_of(roles, target)
    assert run("alice", "contain", case_id, "--reason", "MWAA is down") == DONE
    contained = groups_of(roles, target)
    assert contained != before and len(contained[0]) == 1
    assert run("alice", "verify", case_id) == DONE
    capsys.readouterr()

    assert run("alice", "release", case_id, "--reason", "false alarm") == WAITS
    digest = digest_of(case_id, "release")
    assert f"approve {case_id} release {digest}" in capsys.readouterr().out
    assert groups_of(roles, target) == contained, "nothing before the second person"
    line = approve(run, capsys, case_id, "release", digest)
    assert run("alice", "release", case_id, "--reason", "false alarm", "--approval", line) == DONE
    assert groups_of(roles, target) == before
    assert run("alice", "release", case_id, "--reason", "again") == DONE
    assert "nothing differs" in capsys.readouterr().out

    bundle = tmp_path / "case.tar"
    assert run("alice", "export", case_id, "--for", "a court", "--to", str(bundle)) == DONE
    fingerprint = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("fingerprint")).split(": ")[1]
    assert verify_bundle(["--fingerprint", fingerprint, "--case", case_id, str(bundle)]) == 0
    events = recorder(case_id).view().custody
    acts = [
        (e.detail["act"], e.detail["by"].rpartition("/")[2])
        for e in events
        if e.action is CustodyAction.BREAK_GLASS_USED
    ]
    assert acts == [("contain", "alice"), ("release", "alice"), ("release", "alice"), ("export", "alice")]
    released = next(e for e in events if e.action is CustodyAction.TARGET_RELEASED)
    assert "bob" in str(released.detail["by"]) and "forensics-break-glass/alice" in released.actor
    approved = next(e for e in events if e.action is CustodyAction.RELEASE_APPROVED)
    assert "forensics-break-glass-approve/bob" in json.dumps(approved.detail["approvers"])


def test_no_line_but_a_second_person_s_about_this_plan_counts(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case_id = opened(roles, target)
    assert run("alice", "contain", case_id, "--reason", "x") == DONE
    contained = groups_of(roles, target)
    assert run("alice", "release", case_id, "--reason", "x") == WAITS
    digest = digest_of(case_id, "release")
    assert run("Alice", "approve", case_id, "release", digest, role="forensics-break-glass-approve") == REFUSED
    assert run("bob", "approve", case_id, "release", "0" * 64, role="forensics-break-glass-approve") == REFUSED
    line = approve(run, capsys, case_id, "release", digest)
    changed = line[:200] + ("A" if line[200] != "A" else "B") + line[201:]
    for wrong in (line[:-8], "nonsense", changed):
        assert run("alice", "release", case_id, "--reason", "x", "--approval", wrong) == REFUSED, wrong
    # the approver may not carry out what they approved under the asker's name either
    assert run("bob", "release", case_id, "--reason", "x", "--approval", line) == REFUSED
    assert groups_of(roles, target) == contained
    assert run("alice", "release", case_id, "--reason", "x", "--approval", line) == DONE
    # contained again: the line was used, and is of another question
    assert run("alice", "contain", case_id, "--reason", "again") == DONE
    contained = groups_of(roles, target)
    assert run("alice", "release", case_id, "--reason", "x", "--approval", line) in {REFUSED, WAITS}
    assert groups_of(roles, target) == contained


def test_a_plan_that_was_changed_in_the_store_is_neither_approved_nor_carried_out(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case_id = opened(roles, target)
    assert run("alice", "contain", case_id, "--reason", "x") == DONE
    assert run("alice", "release", case_id, "--reason", "x") == WAITS
    contained, digest = groups_of(roles, target), digest_of(case_id, "release")
    line = approve(run, capsys, case_id, "release", digest)
    store = case_store()
    plan = store.get(case_id, case_keys.RELEASE_PLAN, ReleasePlan)
    assert plan is not None
    first = plan.calls[0]
    more = first.model_copy(update={"params": {**first.params, "Extra": "1"}})
    store.put(case_id, case_keys.RELEASE_PLAN, plan.model_copy(update={"calls": (*plan.calls, more)}))
    assert run("bob", "approve", case_id, "release", digest, role="forensics-break-glass-approve") == REFUSED
    assert run("alice", "release", case_id, "--reason", "x", "--approval", line) == NOT_DONE
    assert "not the one that its digest names" in capsys.readouterr().err
    assert groups_of(roles, target) == contained


def test_what_policy_did_not_decide_takes_two(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case_id = opened(roles, target, actions="memory+disk")
    before = groups_of(roles, target)
    assert run("alice", "contain", case_id, "--reason", "it spreads") == WAITS
    assert "policy does not isolate" in capsys.readouterr().out and groups_of(roles, target) == before
    line = approve(run, capsys, case_id, "containment", digest_of(case_id, "containment"))
    assert run("alice", "contain", case_id, "--reason", "it spreads", "--approval", line) == DONE
    assert groups_of(roles, target) != before


def test_a_case_that_was_opened_and_never_triaged_can_be_contained_by_two(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case_id = opened(roles, target)
    store = case_store()
    store.remove(case_id, case_keys.PLAN)
    assert run("alice", "contain", case_id, "--reason", "it spreads") == WAITS
    assert "triage made no response plan" in capsys.readouterr().out
    line = approve(run, capsys, case_id, "containment", digest_of(case_id, "containment"))
    assert run("alice", "contain", case_id, "--reason", "it spreads", "--approval", line) == DONE
    assert store.get(case_id, case_keys.PLAN, ContainmentPlan) is None, "triage makes the case's own plan later"


def test_show_and_list_say_what_a_responder_asks(
    roles: SmallLab, target: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case_id = opened(roles, target)
    assert run("alice", "list") == DONE and case_id in capsys.readouterr().out
    assert run("alice", "show", case_id) == DONE
    assert "contain" in capsys.readouterr().out
    assert run("alice", "show", "fc-20260101-0000000000") == NOT_DONE
    assert "What to do next" in capsys.readouterr().err


def test_nothing_of_airflow_is_imported() -> None:
    """A laptop has none: the command is loaded by a Python in which importing it fails."""
    program = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('airflow', 'fastapi'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from forensics.break_glass.command import main\n"
        "import forensics.report.handover\n"
        "main(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0 and "break-glass" in done.stdout, done.stderr
