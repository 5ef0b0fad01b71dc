"""The deployment's id: what it may be, and that every name of the product follows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from forensics.deployment import OPTION, action_name, deployment_id, named

# Everything of the product that carries the id, asked in a process of its own: names are made when modules are imported.
ASK = """
import json
from datetime import UTC, datetime
from forensics import document_registry, naming
from forensics.aws import cloudwatch, iam
from forensics.containment import calls, manual_steps
from forensics.containment.quarantine_groups import CaseGroups
from forensics.errors import ForensicsError
from forensics.intake.readers import dispatch, envelope, manual
from forensics.models.finding import CustomAction
from forensics.models.policy import PROTECTED_PREFIX
from forensics.settings import Settings
from forensics.triage import policy, scope
from tests.unit.builders import finding
fields = ("role_prefix", "ami_parameter", "containment_profile", "evidence_key_alias", "member_key_alias")
print(json.dumps({
    "case": [naming.case_id_for(finding(), received_at=datetime(2026, 11, 30, tzinfo=UTC))],
    "tags": [t["Key"] for t in naming.tags("fc-1", "x", evidence="e")][1:] + [naming.TAG_CONTAINED, naming.TAG_PROTECTED],
    "documents": [d.name for d in document_registry.released().values()],
    "settings": [Settings.model_fields[f].default for f in fields],
    "metrics": [cloudwatch.NAMESPACE],
    "policies": [iam.OWN_POLICIES, calls.deny_policy_name("fc-1"), calls.revoke_policy_name("fc-1")],
    "groups": [CaseGroups("fc-1", "t").name("quarantine"), CaseGroups.named(CaseGroups("fc-1", "t").name("access")).case_id],
    "sources": [envelope.HEARTBEAT_SOURCE, manual.SOURCE],
    "labels": [manual_steps.LABEL],
    "policy tags": [PROTECTED_PREFIX, policy.packaged().policy.tags.acquire],
    "actions": [a for a in dispatch.ACTIONS],
    "sentences": [scope.ORDER_EVIDENCE, ForensicsError("x", next_action="deploy stack forensics-roles; run forensics-verify").next_action],
}))
"""


def ask(deployment: str) -> dict[str, list[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, OPTION: deployment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_every_name_of_another_deployment_is_another() -> None:
    first, blue, green = ask(""), ask("blue"), ask("green")
    assert first == ask("forensics")
    for kind in first:
        for one, two, three in zip(first[kind], blue[kind], green[kind], strict=True):
            if one == "fc-1":  # the case that a group's name says
                assert (one, two, three) == ("fc-1",) * 3
                continue
            assert len({one, two, three}) == 3, f"{kind}: {one}, {two}, {three}"
            assert kind == "case" or ("blue" in two and "green" in three)
    assert first["tags"][0] == "forensics:case" and blue["tags"][0] == "blue:case"
    assert first["settings"][0] == "forensics-" and blue["settings"][0] == "blue-"
    assert blue["sentences"][1] == "deploy stack blue-roles; run forensics-verify"
    # what a person of the first deployment knows by heart stays
    assert set(first["actions"]) == {"ForensicTriage", "ForensicIsolate", "ForensicFull", "ForensicRelease"}


@pytest.mark.parametrize(
    "given", ["Prod", "prod-eu", "a", "averylongname14", "1st", "aws1", "amazonx", "amzn", "sthree", "default", "x y"]
)
def test_what_cannot_begin_a_name_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"forensics\.deployment_id: .*DeploymentId"):
        deployment_id({OPTION: given})


def test_no_id_reaches_into_the_names_of_another() -> None:
    """A policy's ``prod-*`` and ``prod:*`` mean nothing of ``prodeu``: an id has neither hyphen nor colon."""
    assert deployment_id({OPTION: "prod"}) == "prod" and deployment_id({}) == "forensics"
    with pytest.raises(ValueError, match="prod-eu"):
        deployment_id({OPTION: "prod-eu"})


def test_names_in_sentences_and_ids_of_actions() -> None:
    assert named("deploy forensics-keys and ec2-forensics-1.0", "blue") == "deploy blue-keys and ec2-forensics-1.0"
    assert named("alias/forensics-evidence", "forensics") == "alias/forensics-evidence"
    # Security Hub, CreateActionTarget: an id has at most 20 characters
    assert action_name("ForensicIsolate", "x" * 13) == "Isolate" + "x" * 13 and len("Isolate" + "x" * 13) == 20
