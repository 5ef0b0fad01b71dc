"""The never-isolate list: who it names, and which lists are refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import ConfigurationError
from forensics.triage.never_isolate import Protection, parse_never_isolate, protecting
from tests.unit.builders import ACCOUNT, INSTANCE, NOW, REGION, interface, target

DC = target(
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    image_id="ami-1",
    auto_scaling_group="licences",
    profile_arn=f"arn:aws:iam::{ACCOUNT}:instance-profile/path/domain-controller",
    tags={"forensics:never-isolate": "yes", "Name": "dc-1"},
    interfaces=(interface(), interface(1, vpc_id="vpc-2", subnet_id="subnet-2")),
)


def document(**entry: Any) -> bytes:
    values = {"id": "e-1", "kind": "instance", "value": INSTANCE, "reason": "domain controller", **entry}
    return json.dumps({"schema": "forensics.never-isolate/1", "version": "3", "entries": [values]}).encode()


def named(**entry: Any) -> bool:
    return found(**entry) != Protection()


def found(**entry: Any) -> Protection:
    return protecting(parse_never_isolate(document(**entry), origin="list"), target=DC, now=NOW)


@pytest.mark.parametrize(
    ("kind", "value", "other"),
    [
        ("instance", INSTANCE, "i-0fffffffffffffff9"),
        ("instance", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{INSTANCE}", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1"),
        ("auto_scaling_group", "licences", "licence"),
        ("vpc", "vpc-1", "vpc-9"),
        ("vpc", "vpc-2", "vpc-"),
        ("subnet", "subnet-2", "subnet-9"),
        ("role", "domain-controller", "controller"),
        ("role", f"arn:aws:iam::{ACCOUNT}:instance-profile/path/domain-controller", "path/domain-controller"),
        ("account", ACCOUNT, "111122223333"),
        ("image", "ami-1", "ami-2"),
        ("tag", "forensics:never-isolate", "forensics:other"),
        ("tag", "forensics:never-isolate=yes", "forensics:never-isolate=no"),
    ],
)  # fmt: skip
def test_an_entry_names_its_target_and_nobody_else(kind: str, value: str, other: str) -> None:
    assert named(kind=kind, value=value)
    assert not named(kind=kind, value=other)


def test_an_entry_of_another_account_does_not_count() -> None:
    assert named(kind="auto_scaling_group", value="licences", account_id=ACCOUNT)
    assert not named(kind="auto_scaling_group", value="licences", account_id="111122223333")


def test_an_entry_ends_by_itself() -> None:
    assert named(until=(NOW + timedelta(hours=1)).isoformat())
    assert not named(until=NOW.isoformat())


def test_an_instance_without_group_profile_or_image_is_not_named_by_nothing() -> None:
    bare = target()
    for kind in ("auto_scaling_group", "role", "image", "vpc"):
        listed = parse_never_isolate(document(kind=kind, value="x"), origin="list")
        assert protecting(listed, target=bare, now=NOW) == Protection()


def test_the_entry_is_told_in_words() -> None:
    assert found() == Protection(vetoes=(f"e-1 (instance {INSTANCE}): domain controller",))


@pytest.mark.parametrize(
    ("kind", "value", "veto"),
    [
        ("instance", INSTANCE, True),
        ("account", ACCOUNT, True),
        ("image", "ami-1", True),
        ("vpc", "vpc-1", True),
        ("subnet", "subnet-1", True),
        ("vpc", "vpc-2", False),
        ("subnet", "subnet-2", False),
        ("tag", "forensics:never-isolate", False),
        ("tag", "forensics:never-isolate=yes", False),
        ("auto_scaling_group", "licences", False),
        ("role", "domain-controller", False),
    ],
)
def test_what_the_account_itself_can_change_on_a_running_instance_is_no_veto(kind: str, value: str, veto: bool) -> None:
    """Auto Scaling's service-linked role puts a group's tags on what it launches, and no SCP binds it; interfaces, groups and
    profiles are attached to running instances (``AttachNetworkInterface``, ``AttachInstances``, ``AssociateIamInstanceProfile``)."""
    words = (f"e-1 ({kind} {value}): domain controller",)
    assert found(kind=kind, value=value) == (Protection(vetoes=words) if veto else Protection(requests=words))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "tag", "value": "Environment=prod"}, "SCP protects"),
        ({"kind": "hostname"}, "entries.0.kind"),
        ({"reason": ""}, "entries.0.reason"),
        ({"value": ""}, "entries.0.value"),
        ({"owner": "x"}, "entries.0.owner"),
        ({"until": "2026-01-01"}, "entries.0.until"),
        ({"account_id": "12"}, "entries.0.account_id"),
    ],
)
def test_a_wrong_list_is_refused_by_the_field(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"s3://tools/list") as caught:
        parse_never_isolate(document(**entry), origin="s3://tools/list")
    assert said in str(caught.value)


def test_an_id_that_is_there_twice_is_refused() -> None:
    value = json.loads(document())
    value["entries"] *= 2
    with pytest.raises(ConfigurationError, match="e-1 occurs twice"):
        parse_never_isolate(json.dumps(value).encode(), origin="list")


def test_the_documented_list_is_a_valid_one() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text("utf-8")
    example = page.split("```yaml\n# policy/never-isolate.yaml\n")[1].split("```")[0]
    listed = parse_never_isolate(example.encode(), origin="docs/policy.md")
    assert [entry.id for entry in listed.entries] == ["dc", "nat", "migration"]
    assert protecting(listed, target=DC, now=NOW).requests[0].startswith("dc (tag forensics:never-isolate)")
