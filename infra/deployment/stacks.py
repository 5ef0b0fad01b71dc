"""Deploys planned stacks with CloudFormation, by change sets, so that a dry run shows what AWS itself says it would do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from forensics.deployment import DEFAULT
from infra.deployment import changes, deployment_ids, reach, settings, templates
from infra.deployment.operations import STACK_SECONDS, Ask, DeployError, Stack, nobody
from infra.deployment.plan import Source, Step

# account id, Region, service → boto3 client
Clients = Callable[[str, str, str], Any]

__all__ = ["Clients", "DeployError", "Deployment"]


@dataclass
class Deployment:
    """Carries out steps, several at once, and hands outputs on to later ones.

    :param clients: makes boto3 clients
    :param made: values of parameters that the deployment makes itself (``ExternalId``, ``ReleasePrefix``, …)
    :param settings: the product's settings, for the environment (``infra/deployment/settings.py``)
    :param report: gets a line for each step
    :param ask: asked before a failed creation is deleted, and before what holds evidence is replaced or removed
    :param import_existing: take resources of the templates' names that are there already into the stacks (left by an earlier deployment)
    :param deployment_id: first part of every name
    :param largest_inline: bytes up to which a template is given in the call; larger ones come from the uploaded release
    """

    clients: Clients
    made: dict[str, str]
    report: Callable[[str], None] = print
    largest_inline: int = templates.LARGEST_INLINE
    outputs: dict[str, str] = field(default_factory=dict)
    of_stack: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    poll_seconds: float = 1.0
    ask: Ask = nobody
    import_existing: bool = False
    deployment_id: str = DEFAULT

    def stack(self, step: Step) -> Stack:
        """The stack of a step."""
        client = self.clients(step.account_id, step.region, "cloudformation")
        return Stack(client, step, self.report, ask=self.ask, poll_seconds=self.poll_seconds)

    def apply(self, step: Step, *, dry_run: bool = False) -> dict[str, str]:
        """Create or update one stack; returns its outputs. Raises :class:`DeployError`."""
        stack = self.stack(step)
        client, kind = stack.client, stack.kind(dry_run=dry_run)
        name = f"{self.deployment_id}-{int(time.time())}"
        try:
            client.create_change_set(
                StackName=step.stack, ChangeSetName=name, ChangeSetType=kind,
                Capabilities=["CAPABILITY_NAMED_IAM"], Parameters=self._parameters(stack, dry_run=dry_run),
                Tags=[{"Key": f"{self.deployment_id}:product", "Value": "ec2-forensics"}], **self._template(stack),
                **({"ImportExistingResources": True} if self.import_existing else {}),
            )  # fmt: skip
            changed = self._settled(stack, name)
            if not changed:
                self.report(f"{stack.where}: no change")
            elif dry_run:
                self._show(stack, name, kind)
            else:
                self._agreed(stack, name, kind)
                client.execute_change_set(StackName=step.stack, ChangeSetName=name)
                stack.done()
                self.report(f"{stack.where}: {kind.lower()}d")
            if dry_run or not changed:
                self._discard(stack, name, kind=kind)
        except ClientError as error:
            raise stack.failed(f"{error}") from error
        if dry_run and kind == "CREATE":
            return {}
        return self._collect(stack)

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
        self.report(f"{self.stack(step).where}: once more, with the address of its UI for the links in messages")
        self.settings = {**given, "ui_url": made["UiUrl"]}
        return self.apply(step)

    def _address(self, step: Step) -> str:
        """The UI's address as an earlier deployment of the stack gave it."""
        found = self.stack(step).described()
        given = found.get("Outputs", []) if found else []
        return next((str(o["OutputValue"]) for o in given if o["OutputKey"] == "UiUrl"), "")

    def _parameters(self, stack: Stack, *, dry_run: bool) -> list[dict[str, str]]:
        return [
            {"ParameterKey": name, "ParameterValue": self._value(name, source, stack, dry_run=dry_run)}
            for name, source in stack.step.parameters.items()
        ]

    def _value(self, name: str, source: Source, stack: Stack, *, dry_run: bool) -> str:
        if source.kind in ("configuration", "default"):
            return source.value
        # stacks end in any order: an output is that of the stack which the plan names
        known = self.made if source.kind == "made" else self.of_stack.get(source.value, {})
        if name in known:
            return known[name]
        cause = f"{name} comes from {source.value}, which is not there"
        if dry_run:
            cause += " yet: a dry run goes as far as the stacks that exist"
        raise stack.failed(cause)

    def _template(self, stack: Stack) -> dict[str, str]:
        step = stack.step
        text = templates.text_of(step.template, self.deployment_id)
        given = self.settings if step.template == settings.TEMPLATE else {}
        text = settings.render(text, given)
        if len(text.encode()) <= self.largest_inline:
            return {"TemplateBody": text}
        if given:
            raise stack.failed("with settings it is too large to be given directly; it cannot come from the release")
        bucket, prefix = self.outputs.get("ReleaseBucket"), self.made.get("ReleasePrefix")
        if not (bucket and prefix):
            raise stack.failed("the template is too large to be given directly and no release is uploaded")
        host, _ = reach.endpoint("s3", step.region)
        return {
            "TemplateURL": f"https://{bucket}.{host}/{prefix}/{deployment_ids.folder(self.deployment_id)}/{step.template}.yaml"
        }

    def _settled(self, stack: Stack, name: str) -> bool:
        """Wait until the change set is ready; whether it would change anything."""
        for _ in range(STACK_SECONDS):
            found = stack.client.describe_change_set(StackName=stack.step.stack, ChangeSetName=name)
            reason = found.get("StatusReason", "")
            if found["Status"] == "CREATE_COMPLETE":
                return True
            if found["Status"] == "FAILED":
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return False
                raise stack.failed(reason)
            time.sleep(self.poll_seconds)
        raise stack.failed("its change set is not ready after an hour")

    def _show(self, stack: Stack, name: str, kind: str) -> None:
        self.report(f"{stack.where}: would {kind.lower()}")
        for line in changes.lines(changes.of_change_set(stack.client, stack=stack.step.stack, name=name)):
            self.report(line)

    def _agreed(self, stack: Stack, name: str, kind: str) -> None:
        """A person agrees to the loss of what holds evidence, or is long in coming back."""
        if kind == "CREATE":
            return
        lost = changes.losses(changes.of_change_set(stack.client, stack=stack.step.stack, name=name))
        if lost and not self.ask(f"{stack.where}: {'; '.join(lost)}. Carry it out?"):
            self._discard(stack, name, kind=kind)
            raise stack.failed(
                f"{'; '.join(lost)}; nothing was changed: look at it with --dry-run, then answer yes (--yes)"
            )

    def _discard(self, stack: Stack, name: str, *, kind: str) -> None:
        stack.client.delete_change_set(StackName=stack.step.stack, ChangeSetName=name)
        if kind == "CREATE":
            stack.client.delete_stack(StackName=stack.step.stack)

    def _collect(self, stack: Stack) -> dict[str, str]:
        step = stack.step
        found = stack.described()
        if found is None:
            raise stack.failed("it is gone; somebody has deleted it meanwhile")
        values = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        self.outputs |= values
        self.of_stack[step.stack] = values
        return values
