"""The rules on CloudTrail tell stories rightly: who, when, what; and say nothing grave of a quiet month."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.attack_techniques import TECHNIQUES
from forensics.cloud_evidence.trail_call_rules import RULES
from forensics.cloud_evidence.trail_reader import MOST_EVENTS
from forensics.cloud_evidence.trail_selection import Spool
from forensics.models.results import ResultSeverity
from lab.scenarios.cloud_check import GRAVE, Played, check_broken, followed, named, play
from lab.scenarios.trail_stories import ACCOUNT, ALARM, ELSEWHERE, OTHER, Story, quiet_month, stories
from tests.unit.cloud_evidence.trail_reading import read

A = ACCOUNT
MONTH = list(quiet_month(days=4))


@pytest.mark.parametrize("story", stories(), ids=lambda s: s.name)
def test_a_story_is_told_with_principal_time_and_effect(story: Story) -> None:
    reading = read([*MONTH, *story.calls])
    assert not named(story, Played(reading, Spool(followed())))


def test_there_are_stories_enough_and_each_row_has_a_known_technique() -> None:
    assert len(stories()) >= 25
    assert {rule.technique for rule in RULES} <= set(TECHNIQUES)
    assert len({rule.rule for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_quiet_month_has_no_grave_finding(seed: int) -> None:
    reading = read(quiet_month(seed))
    assert [f.title for f in reading.findings if f.severity in GRAVE] == []
    assert reading.counts["session"] > 1000 and len(reading.timeline) <= MOST_EVENTS


def test_through_the_confined_processes_it_is_the_same() -> None:
    story = next(s for s in stories() if s.name == "chained role ends instances")
    played = play([*MONTH, *story.calls])
    assert not named(story, played)
    assert played.spool.passes == 2


def test_broken_files_hide_nothing() -> None:
    assert check_broken(lambda _: None).wrong == []


def test_after_a_misuse_credentials_to_rotate_and_things_touched_are_named() -> None:
    key = "AKIAHELPDESK00EXAMPLE"
    stolen = A.instance(address=ELSEWHERE)
    calls = [
        A.call(
            ALARM,
            "iam:CreateAccessKey",
            stolen,
            {"userName": "helpdesk"},
            {"accessKey": {"accessKeyId": key, "userName": "helpdesk"}},
        ),
        A.call(ALARM + timedelta(minutes=1), "secretsmanager:GetSecretValue", stolen, {"secretId": "prod/db"}),
        A.call(
            ALARM + timedelta(minutes=2),
            "ssm:SendCommand",
            stolen,
            {"documentName": "AWS-RunShellScript", "instanceIds": [OTHER]},
        ),
    ]
    titles = {f.title for f in read(calls).findings}
    rotate = {t for t in titles if t.startswith("Credential to rotate: ")}
    assert len(rotate) == 3
    for word in (f"sessions of role {A.role}", f"access key {key} of user helpdesk", "secret prod/db"):
        assert any(word in t for t in rotate), word
    assert (
        f"Touched with the instance's credentials: instance {OTHER} (a case of its own: DAG forensic_case with this id)"
        in titles
    )


def test_an_ordinary_month_names_nothing_to_rotate() -> None:
    assert not [f for f in read(MONTH).findings if f.title.startswith(("Credential to rotate", "Touched"))]


def test_without_the_network_s_exits_nobody_is_accused_and_it_is_said() -> None:
    reading = read([A.call(ALARM, "s3:ListBuckets", A.instance(address=ELSEWHERE))], exits=None)
    assert not [f for f in reading.findings if "elsewhere" in f.id]
    assert "not judged" in reading.notes[0].why


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [("10.20.0.5", "vpce-1"), (A.home, ""), ("ec2.amazonaws.com", ""), ("AWS Internal", "")],
)
def test_the_target_s_own_addresses_and_aws_s_services_are_not_elsewhere(address: str, endpoint: str) -> None:
    reading = read([A.call(ALARM, "s3:ListBuckets", A.instance(address=address), vpcEndpointId=endpoint)])
    assert not [f for f in reading.findings if "elsewhere" in f.id]


def test_a_refused_call_is_of_lower_severity_and_says_so() -> None:
    reading = read([A.call(ALARM, "iam:CreateUser", A.instance(), {"userName": "x"}, errorCode="AccessDenied")])
    (finding,) = [f for f in reading.findings if f.id.startswith("cloudtrail-user-made")]
    assert finding.severity is ResultSeverity.MEDIUM and finding.title.endswith("tried, and refused")


def test_repeated_calls_are_one_finding_with_their_number_and_events() -> None:
    calls = [
        A.call(
            ALARM + timedelta(seconds=n), "ec2:GetPasswordData", A.instance(), {"instanceId": OTHER}, requestID=str(n)
        )
        for n in range(50)
    ]
    (finding,) = [f for f in read(calls).findings if f.id.startswith("cloudtrail-password")]
    assert finding.data["calls"] == 50 and len(finding.data["event_ids"]) == 20  # type: ignore[arg-type]
    assert finding.source == f"CloudTrail {calls[0]['eventID']}"


def test_the_product_s_own_shares_and_backups_are_no_finding() -> None:
    share = {
        "createVolumePermission": {"add": {"items": [{"userId": "222233334444"}]}},
        "snapshotId": "snap-0aaaabbbbccccddd4",
    }
    calls = [
        A.call(
            ALARM,
            "ec2:CreateSnapshot",
            A.service("backup.amazonaws.com"),
            {"volumeId": "vol-0aaaabbbbccccddd1"},
            {"snapshotId": "snap-0aaaabbbbccccddd4"},
        ),
        A.call(ALARM, "ec2:ModifySnapshotAttribute", A.person("alice"), share),
    ]
    assert read(calls, friends=("222233334444",)).findings == ()
    assert [f.severity.value for f in read(calls).findings] == ["high"]


def test_calls_from_the_finding_s_address_are_named_whoever_made_them() -> None:
    call = A.call(
        ALARM,
        "ec2:DescribeInstanceAttribute",
        A.person("bob", address=ELSEWHERE),
        {"instanceId": A.instance_id, "attribute": "userData"},
    )
    reading = read([call], peers=(ELSEWHERE,))
    assert any(f.title == f"Calls came from the finding's address {ELSEWHERE}" for f in reading.findings)
