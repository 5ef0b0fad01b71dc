"""The symbol library: a disposable instance builds a table from a debug package, the control plane signs and keeps it (R82)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from pydantic import ValidationError

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.session import AwsSession
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseGateways
from forensics.document_registry import choose
from forensics.errors import DigestMismatchError, ForensicsError, InvestigationError
from forensics.investigation.instance_operators import INSTANCE_PURPOSE
from forensics.investigation.symbol_store import SymbolStore
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger
from forensics.manifest import MANIFEST, MIB, render
from forensics.models.symbols import SymbolTable
from forensics.naming import SYMBOL_LIBRARY, TAG_CASE, TAG_PURPOSE, tags
from forensics.settings import names

BUILD_SECONDS = 3600
LARGEST_TABLE = 64 * MIB
ACTIVITY = "investigate_symbols"


class _LibraryOperator(BaseOperator):
    """A step of the library; its instance and objects belong to no case, but to the identity ``fc-symbols``."""

    def _hook(self) -> ForensicsHook:
        return ForensicsHook()

    def _account(self) -> AwsSession:
        return self._hook().forensic(SYMBOL_LIBRARY)

    def _gateways(self) -> CaseGateways:
        hook = self._hook()
        return CaseGateways.of(hook.own(), hook.forensic(SYMBOL_LIBRARY, "custodian"), hook.settings)

    def _symbols(self) -> SymbolStore:
        hook = self._hook()
        return SymbolStore.of(hook.forensic(SYMBOL_LIBRARY, "custodian"), self._gateways(), hook.settings)

    def _timing(self, seconds: float) -> dict[str, Any]:
        """Arguments that every trigger takes."""
        hook = self._hook()
        deadline = datetime.now(UTC).timestamp() + seconds
        scope = hook.forensic_scope(SYMBOL_LIBRARY).as_dict()
        return {"scope": scope, "poll": hook.settings.poll_seconds, "deadline": deadline}

    def _instances(self) -> list[tuple[str, str]]:
        return Ec2Gateway.of(self._account()).find_instances(
            tags={TAG_CASE: SYMBOL_LIBRARY, TAG_PURPOSE: INSTANCE_PURPOSE}
        )


class LaunchBuilderOperator(_LibraryOperator):
    """Launch an instance from the forensic AMI in the analysis subnet, and wait until its agent is online."""

    def execute(self, context: Context) -> None:
        """Launch; a repeated try finds the instance of the one before."""
        settings, account = self._hook().settings, self._account()
        living = [i for i, state in self._instances() if state in {"pending", "running"}]
        run = hashlib.sha256(context["dag_run"].run_id.encode()).hexdigest()[:16]
        instance_id = living[0] if living else Ec2Gateway.of(account).run_instance(
            image_id=SsmGateway.of(account).parameter(settings.ami_parameter),
            types=names(settings.analysis_instance_types),
            token=f"{SYMBOL_LIBRARY}-{run}-{context['ti'].try_number}",
            subnet_id=settings.analysis_subnet_id,
            group_id=settings.analysis_security_group_id,
            profile=settings.analysis_instance_profile,
            tags=tags(SYMBOL_LIBRARY, INSTANCE_PURPOSE),
        )  # fmt: skip
        seconds = settings.instance_timeout_seconds
        trigger = ForensicInstanceOnlineTrigger(instance_id=instance_id, **self._timing(seconds))
        self.defer(trigger=trigger, method_name="online", timeout=timedelta(seconds=seconds + 120))

    def online(self, context: Context, event: dict[str, Any]) -> str:
        """The instance's id; what kept it from coming up fails the step."""
        if not event.get("ok"):
            raise AirflowFailException(f"{event.get('cause')}. What to do next: {event.get('next_action')}")
        return str(event["instance_id"])


class BuildSymbolsOperator(_LibraryOperator):
    """Build the table of the package that the run names; store it with its signed entry.

    :param package: key in the tools bucket
    :param sha256: the package's digest, as its distribution publishes it
    """

    template_fields = ("package", "sha256")

    def __init__(
        self, *, package: str = "{{ params.package }}", sha256: str = "{{ params.sha256 }}", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.package = package
        self.sha256 = sha256

    def execute(self, context: Context) -> None:
        """Send the command."""
        account = self._account()
        running = [i for i, state in self._instances() if state == "running"]
        if not running:
            raise InvestigationError("the builder is not running", next_action="clear launch_builder and what follows")
        document, gateways = choose(ACTIVITY, platform="linux"), self._gateways()
        prefix = f"{SYMBOL_LIBRARY}/{self.sha256[:16]}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        gets = {"package": (self.sha256, gateways.tools.get_url(self.package))}
        puts = {"symbols": gateways.landing.put_url(f"{prefix}/symbols", seconds=BUILD_SECONDS + 900)}
        url = gateways.landing.publish(f"{prefix}/{MANIFEST}", text=render(gets=gets, puts=puts))
        command_id = SsmGateway.of(account).send(
            document=document.name,
            version=SsmGateway.of(account).document_version(document.name),
            sha256=document.sha256,
            instance_id=running[0],
            parameters={"ManifestUrl": url, "ExecutionTimeout": str(BUILD_SECONDS)},
            comment=f"{SYMBOL_LIBRARY} {self.sha256[:16]}",
            timeout_seconds=BUILD_SECONDS,
        )
        job = {
            "command_id": command_id,
            "instance_id": running[0],
            "prefix": prefix,
            "document_sha256": document.sha256,
        }
        timing = self._timing(BUILD_SECONDS + 180)
        trigger = SsmCommandsCompletedTrigger(commands=[[command_id, running[0]]], **timing)
        limit = timedelta(seconds=BUILD_SECONDS + 300)
        self.defer(trigger=trigger, method_name="keep", kwargs={"job": job}, timeout=limit)

    def keep(self, context: Context, event: dict[str, Any], job: dict[str, str]) -> dict[str, Any]:
        """Check what landed, sign it, put it into the library."""
        landing = self._gateways().landing
        landing.withdraw(job["prefix"])
        if not event.get("ok"):
            raise AirflowFailException(f"{event.get('cause')}. What to do next: {event.get('next_action')}")
        found = SsmGateway.of(self._account()).invocation(command_id=job["command_id"], instance_id=job["instance_id"])
        try:
            said = _said(found)
            content = landing.read(f"{job['prefix']}/symbols", limit=LARGEST_TABLE)
            table = self._table(said, content=content, job=job)
            kept = self._symbols().add(table, content)
        except ForensicsError as error:
            # Another try would build the same from the same package.
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error
        self.log.info("symbol table %s of kernel %s", kept.key, kept.banner)
        return kept.model_dump(mode="json", include={"banner", "method", "key", "sha256", "symbols", "notes"})

    def _table(self, said: dict[str, Any], *, content: bytes, job: dict[str, str]) -> SymbolTable:
        digest = hashlib.sha256(content).hexdigest()
        if (digest, self.sha256) != (said.get("sha256"), said.get("package_sha256")):
            msg = f"the table that landed has SHA-256 {digest}, the tool said {said.get('sha256')} of {said.get('package_sha256')}"
            raise DigestMismatchError(msg)
        taken = ("banner", "method", "symbols", "kernel_sha256", "notes", "package_sha256")
        try:
            return SymbolTable.model_validate(
                {name: said.get(name) for name in taken}
                | {
                    "key": self._symbols().table_key(str(said.get("banner")), digest),
                    "sha256": digest,
                    "bytes": len(content),
                    "package": self.package,
                    "document_sha256": job["document_sha256"],
                    "instance_id": job["instance_id"],
                    "built_at": datetime.now(UTC),
                }
            )
        except ValidationError as error:
            raise InvestigationError(f"the status line of the build is not valid: {str(error)[:400]}") from error


def _said(found: Invocation | None) -> dict[str, Any]:
    said = found.status_line() if found else {}
    if found is None or found.status != "Success" or said.get("status") != "ok":
        cause = said.get("reason") or (found.cause() if found else "the command has vanished from SSM")
        raise InvestigationError(
            f"no symbol table was built: {cause}",
            next_action="put the kernel's own debug package into the tools bucket and trigger symbol_library with its digest",
        )
    return said


class RemoveBuilderOperator(_LibraryOperator):
    """Terminate the builder, whatever happened before, and wait until it is gone."""

    def execute(self, context: Context) -> list[str] | None:
        """Terminate; safe to repeat."""
        ending = [i for i, _ in self._instances()]
        Ec2Gateway.of(self._account()).terminate(ending)
        if not ending:
            return []
        seconds = self._hook().settings.instance_timeout_seconds
        trigger = InstancesGoneTrigger(instance_ids=ending, **self._timing(seconds))
        self.defer(trigger=trigger, method_name="gone", timeout=timedelta(seconds=seconds + 120))
        return None

    def gone(self, context: Context, event: dict[str, Any]) -> list[str]:
        """What was removed."""
        if not event.get("ok"):
            raise AirflowFailException(f"{event.get('cause')}. What to do next: {event.get('next_action')}")
        return list(event["instances"])
