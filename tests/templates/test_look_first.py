"""Bad inputs of a second day, each named before anything is changed: a half-deleted stack, a renamed bucket, a rotated or disabled key,
a profile that is missing, a profile of another account.

S3 and KMS answer as moto has them, CloudFormation by its documented states (stack_machine), the AWS CLI's files are real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.deployment import configuration, deploy, look_first, plan
from infra.deployment.operations import DeployError
from infra.deployment.plan import Step
from tests.templates.stack_machine import Machine
from tests.templates.test_plan import EXAMPLE, changed

REGION, FORENSIC = "eu-central-1", "123456789012"  # moto's account
KEYS = Step(account="forensic", account_id=FORENSIC, region=REGION, stack="forensics-keys", template="keys")
BUCKETS = replace(KEYS, stack="forensics-work-buckets", template="work-buckets")
UPLOAD = replace(KEYS, stack="release", template="")


class Described(Machine):
    """A stack with outputs."""

    outputs: dict[str, str] = {}
    parameters: dict[str, str] = {}

    def _describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        found = super()._describe_stacks(StackName=StackName)
        found["Stacks"][0]["Outputs"] = [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]
        found["Stacks"][0]["Parameters"] = [
            {"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()
        ]
        return found


def stack(state: str | None = "CREATE_COMPLETE", **outputs: str) -> Described:
    made = Described(state)
    made.outputs = outputs
    return made


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield lambda service: boto3.client(service, region_name=REGION)


def clients(aws: Any, machines: dict[str, Described]) -> Any:
    """One CloudFormation for each stack; the other services are moto's."""

    class ByStack:
        def describe_stacks(self, *, StackName: str) -> Any:
            return machines[StackName].describe_stacks(StackName=StackName)

    return lambda _account, _region, service: ByStack() if service == "cloudformation" else aws(service)


def found(aws: Any, **machines: Described) -> list[str]:
    named = {f"forensics-{name.replace('_', '-')}": machine for name, machine in machines.items()}
    lines = look_first.problems([KEYS, UPLOAD, BUCKETS], clients(aws, named))
    assert all(machine.calls == [] for machine in machines.values()), "only looked at"
    return lines


def test_what_is_as_it_should_be_is_not_named(aws: Any) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    aws("s3").create_bucket(Bucket="forensics-landing-1", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert found(aws, keys=stack(EvidenceKeyArn=key), work_buckets=stack(LandingBucket="forensics-landing-1")) == []
    # nothing there yet, or an operation that the deployment brings to its end
    assert found(aws, keys=stack(None), work_buckets=stack("UPDATE_ROLLBACK_FAILED")) == []


def test_a_half_deleted_stack_is_named(aws: Any) -> None:
    (line,) = found(aws, keys=stack("DELETE_FAILED"), work_buckets=stack())
    assert "forensics-keys in forensic account" in line and "DELETE_FAILED" in line and "--import-existing" in line


@pytest.mark.parametrize(
    ("deployed", "asked", "refused"),
    [
        ("3.3.1", "3.2.1", True),
        ("3.2.1", "3.3.1", False),
        ("3.3.1", "3.3.1", False),
        ("3.3.1", None, False),
        ("3.10.0", "3.3.1", True),
        ("", "3.2.1", False),
    ],
)
def test_an_older_airflow_than_the_deployed_one_is_refused(deployed: str, asked: str | None, refused: bool) -> None:
    """MWAA takes both directions (user guide, "Changing Apache Airflow versions"); the older scheduler ended at a run's type in the lab."""
    machine = stack()
    machine.parameters = {"AirflowVersion": deployed} if deployed else {}
    config = configuration.read(EXAMPLE)
    steps = plan.steps(changed(config, AirflowVersion=asked) if asked else config)
    (step,) = (step for step in steps if step.template == "mwaa")
    lines = look_first.problems([step], lambda *_: machine)
    assert [("3.2.1" in line or "3.3.1" in line) and "docs/upgrade.md" in line for line in lines] == [True] * refused


def test_a_renamed_bucket_is_named(aws: Any) -> None:
    (line,) = found(aws, keys=stack(), work_buckets=stack(LandingBucket="forensics-landing-1"))
    assert "bucket forensics-landing-1 (LandingBucket) does not exist any more" in line and "work-buckets" in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kms, key: kms.disable_key(KeyId=key), "is Disabled: enable it"),
        (
            lambda kms, key: kms.schedule_key_deletion(KeyId=key),
            "is PendingDeletion: cancel its deletion and enable it",
        ),
    ],
)
def test_a_key_that_was_replaced_or_disabled_is_named(aws: Any, change: Any, said: str) -> None:
    arn = aws("kms").create_key()["KeyMetadata"]["Arn"]
    change(aws("kms"), arn.rpartition("/")[2])
    (line,) = found(aws, keys=stack(EvidenceKeyArn=arn), work_buckets=stack())
    assert said in line and "EvidenceKeyArn" in line
    gone = arn.replace(arn.rpartition("/")[2], "00000000-0000-0000-0000-000000000000")
    (line,) = found(aws, keys=stack(EvidenceKeyArn=gone), work_buckets=stack())
    assert "is gone for good" in line


def test_everything_is_named_at_once_and_an_account_once(aws: Any) -> None:
    machines = {
        "forensics-keys": stack("DELETE_FAILED"),
        "forensics-work-buckets": stack(ToolsBucket="forensics-tools-1"),
    }
    with pytest.raises(DeployError) as refused:
        look_first.refuse([KEYS, BUCKETS], clients(aws, machines))
    assert "nothing was changed" in str(refused.value)
    assert "DELETE_FAILED" in str(refused.value) and "forensics-tools-1" in str(refused.value)

    def nobody(*_: str) -> Any:
        raise DeployError("profile x is of account 1, not 2: correct profiles in the configuration")

    (line,) = look_first.problems([KEYS, BUCKETS], nobody)
    assert line.startswith(f"forensic account {FORENSIC}: profile x")


def test_missing_profiles_and_profiles_of_other_accounts_are_named_for_every_account(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool's own clients with an AWS CLI configuration that has one of the profiles, of the wrong account."""
    (tmp_path / "config").write_text(
        "[profile forensic-admin]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    config = configuration.read(EXAMPLE)
    steps = [
        replace(KEYS, account=kind, account_id=config.account_ids(kind)[0])
        for kind in ("forensic", "security", "members")
    ]
    lines = look_first.problems(steps, deploy.clients_of(config))
    assert len(lines) == 3
    assert f"profile forensic-admin is of account {FORENSIC}, not 222233334444" in lines[0]
    assert "profile security-admin cannot be used" in lines[1] and "aws sso login" in lines[1]
    assert "profile member-admin cannot be used" in lines[2] and "333344445555" in lines[2]
