"""What would stop a deployment half-way, found before anything is changed: identities, stacks that are half gone, buckets and keys that
are not what the stacks say any more.

Every account is asked once who its profile is, every stack for its state; of stacks that are there, the buckets and keys among their
outputs are looked at. All that is wrong is named at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment import organization
from infra.deployment.configuration import Configuration
from infra.deployment.operations import DeployError, Stack
from infra.deployment.plan import Step
from infra.deployment.stack_states import Readiness, readiness
from infra.deployment.stacks import Clients

# KMS, "Key states of KMS keys": in these a key neither encrypts nor decrypts nor signs.
UNUSABLE = {"Disabled", "PendingDeletion", "PendingReplicaDeletion", "Unavailable", "PendingImport"}


def problems(steps: Sequence[Step], clients: Clients) -> list[str]:
    """A line for each thing that is wrong, with what to do about it. Nothing is changed."""
    found: list[str] = []
    unreachable: set[str] = set()
    for step in steps:
        if step.is_upload or step.account_id in unreachable:
            continue
        try:
            client = clients(step.account_id, step.region, "cloudformation")
            found += _of_stack(Stack(client, step, lambda _: None), clients)
        except (DeployError, BotoCoreError, ClientError) as error:
            # one line for an account, not one for each of its stacks
            unreachable.add(step.account_id)
            found.append(f"{step.account} account {step.account_id}: {error}")
    return found


def refuse(steps: Sequence[Step], clients: Clients, config: Configuration | None = None) -> None:
    """Raises :class:`DeployError` naming everything that :func:`problems` finds."""
    wrong = problems(steps, clients)
    if config is not None and not wrong:
        sets = [s for s in steps if s.template == organization.TEMPLATE]
        said = [(s, organization.access_problem(s, config, clients)) for s in sets]
        wrong = [f"{s.account} account {s.account_id}: {problem}" for s, problem in said if problem]
    if wrong:
        lines = "\n".join(f"  - {line}" for line in wrong)
        msg = f"nothing was changed, because the deployment would stop half-way:\n{lines}"
        raise DeployError(msg)


def _of_stack(stack: Stack, clients: Clients) -> Iterator[str]:
    described = stack.described()
    status = described["StackStatus"] if described else None
    if readiness(status) is Readiness.STUCK:
        yield (
            f"{stack.where} is in state {status}: a part of it is gone. `--uninstall` deletes the rest, or delete it in CloudFormation "
            "with its resources retained; then deploy again with --import-existing"
        )
        return
    yield from _airflow(stack, described or {})
    outputs = {o["OutputKey"]: str(o["OutputValue"]) for o in (described or {}).get("Outputs", [])}
    yield from _buckets(stack, outputs, clients)
    yield from _keys(stack, outputs, clients)


def _airflow(stack: Stack, described: Mapping[str, Any]) -> Iterator[str]:
    """An older Airflow than the deployed one: its scheduler ends at a type of run that it does not know (docs/upgrade.md)."""
    wanted = stack.step.parameters.get("AirflowVersion")
    if wanted is None:
        return
    asked = wanted.value
    deployed = next(
        (p["ParameterValue"] for p in described.get("Parameters", []) if p["ParameterKey"] == "AirflowVersion"), ""
    )
    if deployed and _version(asked) < _version(deployed):
        yield (
            f"{stack.where}: Airflow {deployed} is deployed and {asked} is asked for; going back in place leaves runs that {asked} does not know, "
            f"and its scheduler ends. Keep `parameters: {{AirflowVersion: {deployed}}}`, or remove the environment and deploy it anew "
            '(docs/upgrade.md, "A newer Airflow"): open cases are taken up from the case store'
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _buckets(stack: Stack, outputs: Mapping[str, str], clients: Clients) -> Iterator[str]:
    step = stack.step
    for name, bucket in outputs.items():
        if not name.endswith("Bucket"):
            continue
        s3: Any = clients(step.account_id, step.region, "s3")
        try:
            s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=step.account_id)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in {"404", "NoSuchBucket"}:
                yield (
                    f"{stack.where}: bucket {bucket} ({name}) does not exist any more; a bucket cannot be renamed. Make one of this name again, "
                    "or delete the stack with its resources retained and deploy again"
                )
            elif code in {"403", "AccessDenied"}:
                yield f"{stack.where}: bucket {bucket} ({name}) is not of account {step.account_id}, or this profile may not see it (s3:ListBucket)"
            else:
                raise


def _keys(stack: Stack, outputs: Mapping[str, str], clients: Clients) -> Iterator[str]:
    step = stack.step
    for name, arn in outputs.items():
        if ":key/" not in arn:
            continue
        kms: Any = clients(step.account_id, arn.split(":")[3], "kms")
        try:
            state = str(kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                yield f"{stack.where}: key {arn} ({name}) is gone for good; what it encrypted cannot be read. Restore from a copy under another key"
                continue
            raise
        if state in UNUSABLE:
            way = "cancel its deletion and enable it" if state == "PendingDeletion" else "enable it"
            yield (
                f"{stack.where}: key {arn} ({name}) is {state}: {way}; a key of yours that was replaced is not taken over, what it encrypted "
                "still needs it"
            )
