"""Deploys planned stacks with CloudFormation, by change sets, so that a dry run shows what AWS itself says it would do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from infra.deployment import reach, settings, templates
from infra.deployment.plan import Source, Step
from infra.deployment.stack_states import STATES, Readiness

# account id, Region, service → boto3 client
Clients = Callable[[str, str, str], Any]
STACK_SECONDS = 3600
# delete after a failed creation, or continue a roll back, each with a wait before and after
REPAIRS = 5
RELEASE_FOLDER = "cloudformation"


class DeployError(RuntimeError):
    """A stack could not be deployed; the message names stack, account, cause and what to do next."""


@dataclass
class Deployment:
    """Carries out steps one by one and hands outputs on to later ones.

    :param clients: makes boto3 clients
    :param made: values of parameters that the deployment makes itself (``ExternalId``, ``ReleasePrefix``, …)
    :param settings: the product's settings, for the environment (``infra/deployment/settings.py``)
    :param report: gets a line for each step
    :param largest_inline: bytes up to which a template is given in the call; larger ones come from the uploaded release
    """

    clients: Clients
    made: dict[str, str]
    report: Callable[[str], None] = print
    largest_inline: int = templates.LARGEST_INLINE
    outputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    poll_seconds: float = 1.0

    def apply(self, step: Step, *, dry_run: bool = False) -> dict[str, str]:
        """Create or update one stack; returns its outputs. Raises :class:`DeployError`."""
        client = self.clients(step.account_id, step.region, "cloudformation")
        kind = self._kind(client, step, dry_run=dry_run)
        name = f"forensics-{int(time.time())}"
        try:
            client.create_change_set(
                StackName=step.stack, ChangeSetName=name, ChangeSetType=kind,
                Capabilities=["CAPABILITY_NAMED_IAM"], Parameters=self._parameters(step, dry_run=dry_run),
                Tags=[{"Key": "forensics:product", "Value": "ec2-forensics"}], **self._template(step),
            )  # fmt: skip
            change = self._settled(client, step, name)
            if change is None:
                self.report(f"{self._where(step)}: no change")
            elif dry_run:
                self._show(step, change, kind)
            else:
                client.execute_change_set(StackName=step.stack, ChangeSetName=name)
                self._wait(client, step)
                self.report(f"{self._where(step)}: {kind.lower()}d")
            if dry_run or change is None:
                self._discard(client, step, name, kind=kind)
        except ClientError as error:
            raise self._failed(step, f"{error}") from error
        if dry_run and kind == "CREATE":
            return {}
        return self._collect(client, step)

    def apply_environment(self, step: Step, *, dry_run: bool = False) -> dict[str, str]:
        """As :meth:`apply`; the environment also gets the address of its own UI, which AWS names only once it is there.

        So a new environment is updated once more. ``ui_url`` in the configuration's settings goes before it.
        """
        given = self.settings
        if "ui_url" in given:
            return self.apply(step, dry_run=dry_run)
        known = self._address(step)
        if known:
            self.settings = {**given, "ui_url": known}
        made = self.apply(step, dry_run=dry_run)
        if known or dry_run or not made.get("UiUrl"):
            return made
        self.report(f"{self._where(step)}: once more, with the address of its UI for the links in messages")
        self.settings = {**given, "ui_url": made["UiUrl"]}
        return self.apply(step)

    def _address(self, step: Step) -> str:
        """The UI's address as an earlier deployment of the stack gave it."""
        client = self.clients(step.account_id, step.region, "cloudformation")
        if self._status(client, step) is None:
            return ""
        (found,) = client.describe_stacks(StackName=step.stack)["Stacks"]
        return next((str(o["OutputValue"]) for o in found.get("Outputs", []) if o["OutputKey"] == "UiUrl"), "")

    def _where(self, step: Step) -> str:
        return f"{step.stack} in {step.account} account {step.account_id}, {step.region}"

    def _failed(self, step: Step, cause: str) -> DeployError:
        return DeployError(
            f"{self._where(step)} could not be deployed: {cause}. Nothing of later stacks was done; fix the cause and "
            "run the deployment again: it continues from here."
        )

    def _kind(self, client: Any, step: Step, *, dry_run: bool) -> str:
        """CREATE or UPDATE, after what an earlier run left half done has been brought to an end."""
        for _ in range(REPAIRS):
            status = self._status(client, step)
            readiness = Readiness.CREATE if status is None else STATES.get(status, Readiness.STUCK)
            if readiness in {Readiness.CREATE, Readiness.UPDATE}:
                return readiness.name
            said = f"{self._where(step)} is in state {status}: {readiness.value}"
            if dry_run and readiness is not Readiness.WAIT:
                raise self._failed(step, f"{said}. A dry run changes nothing: deploy without --dry-run")
            if readiness is Readiness.STUCK:
                raise self._failed(step, said)
            self.report(said)
            if readiness is Readiness.REMOVE:
                client.delete_stack(StackName=step.stack)
            elif readiness is Readiness.CONTINUE_ROLLBACK:
                client.continue_update_rollback(StackName=step.stack)
            self._rest(client, step)
        raise self._failed(step, "it does not come to rest; look at its events in CloudFormation")

    def _status(self, client: Any, step: Step) -> str | None:
        try:
            (found,) = client.describe_stacks(StackName=step.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise self._failed(step, str(error)) from error
        return str(found["StackStatus"])

    def _rest(self, client: Any, step: Step) -> None:
        """Wait until nothing is in progress."""
        for _ in range(STACK_SECONDS):
            status = self._status(client, step)
            if status is None or STATES.get(status) is not Readiness.WAIT:
                return
            time.sleep(self.poll_seconds)
        raise self._failed(step, f"it is still in progress after {STACK_SECONDS} looks")

    def _parameters(self, step: Step, *, dry_run: bool) -> list[dict[str, str]]:
        return [
            {"ParameterKey": name, "ParameterValue": self._value(name, source, step, dry_run=dry_run)}
            for name, source in step.parameters.items()
        ]

    def _value(self, name: str, source: Source, step: Step, *, dry_run: bool) -> str:
        if source.kind in ("configuration", "default"):
            return source.value
        known = self.made if source.kind == "made" else self.outputs
        if name in known:
            return known[name]
        cause = f"{name} comes from {source.value}, which is not there"
        if dry_run:
            cause += " yet: a dry run goes as far as the stacks that exist"
        raise self._failed(step, cause)

    def _template(self, step: Step) -> dict[str, str]:
        text = templates.text_of(step.template)
        given = self.settings if step.template == settings.TEMPLATE else {}
        text = settings.render(text, given)
        if len(text.encode()) <= self.largest_inline:
            return {"TemplateBody": text}
        if given:
            raise self._failed(
                step, "with settings it is too large to be given directly; it cannot come from the release"
            )
        bucket, prefix = self.outputs.get("ReleaseBucket"), self.made.get("ReleasePrefix")
        if not (bucket and prefix):
            raise self._failed(step, "the template is too large to be given directly and no release is uploaded")
        host, _ = reach.endpoint("s3", step.region)
        return {"TemplateURL": f"https://{bucket}.{host}/{prefix}/{RELEASE_FOLDER}/{step.template}.yaml"}

    def _settled(self, client: Any, step: Step, name: str) -> dict[str, Any] | None:
        """The change set when it is ready; None when it would change nothing."""
        for _ in range(STACK_SECONDS):
            found = client.describe_change_set(StackName=step.stack, ChangeSetName=name)
            reason = found.get("StatusReason", "")
            if found["Status"] == "CREATE_COMPLETE":
                return dict(found)
            if found["Status"] == "FAILED":
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return None
                raise self._failed(step, reason)
            time.sleep(self.poll_seconds)
        raise self._failed(step, "its change set is not ready after an hour")

    def _show(self, step: Step, change: dict[str, Any], kind: str) -> None:
        self.report(f"{self._where(step)}: would {kind.lower()}")
        for item in change.get("Changes", []):
            resource = item["ResourceChange"]
            replaced = " (replaced)" if resource.get("Replacement") == "True" else ""
            self.report(
                f"    {resource['Action']:7} {resource['ResourceType']} {resource['LogicalResourceId']}{replaced}"
            )

    def _discard(self, client: Any, step: Step, name: str, *, kind: str) -> None:
        client.delete_change_set(StackName=step.stack, ChangeSetName=name)
        if kind == "CREATE":
            client.delete_stack(StackName=step.stack)

    def _wait(self, client: Any, step: Step) -> None:
        for _ in range(STACK_SECONDS):
            (found,) = client.describe_stacks(StackName=step.stack)["Stacks"]
            status = found["StackStatus"]
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return
            if not status.endswith("_IN_PROGRESS"):
                raise self._failed(step, f"{status}: {self._first_failure(client, step)}")
            time.sleep(self.poll_seconds)
        raise self._failed(step, "it is still in progress after an hour")

    def _first_failure(self, client: Any, step: Step) -> str:
        events = client.describe_stack_events(StackName=step.stack)["StackEvents"]
        failed = [e for e in events if str(e.get("ResourceStatus", "")).endswith("_FAILED")]
        if not failed:
            return "CloudFormation names no resource"
        first = min(failed, key=lambda e: e["Timestamp"])
        return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'no reason given')}"

    def _collect(self, client: Any, step: Step) -> dict[str, str]:
        (found,) = client.describe_stacks(StackName=step.stack)["Stacks"]
        values = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        self.outputs |= values
        return values
