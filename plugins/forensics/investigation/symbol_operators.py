"""Steps of the symbol library: launch a builder, build and store a table, remove the builder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.hook import ForensicsHook
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.errors import AwsError, ForensicsError
from forensics.investigation.symbol_build import BUILD_SECONDS, BuildJob, SymbolBuild
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger, InstancesGoneTrigger
from forensics.naming import SYMBOL_LIBRARY

Event = Mapping[str, Any]


class _LibraryOperator(BaseOperator):
    """A step of the library, under the library's own identity."""

    @property
    def _hook(self) -> ForensicsHook:
        return ForensicsHook()

    def _build(self) -> SymbolBuild:
        hook = self._hook
        return SymbolBuild.of(
            hook.own(),
            analyst=hook.forensic(SYMBOL_LIBRARY),
            custodian=hook.forensic(SYMBOL_LIBRARY, "custodian"),
            settings=hook.settings,
        )

    def _timing(self, seconds: float) -> dict[str, Any]:
        """Arguments that every trigger takes."""
        hook = self._hook
        deadline = datetime.now(UTC).timestamp() + seconds
        scope = hook.forensic_scope(SYMBOL_LIBRARY).as_dict()
        return {"scope": scope, "poll": hook.settings.poll_seconds, "deadline": deadline}

    def _raise_if_failed(self, event: Event) -> None:
        if not event.get("ok"):
            raise AirflowFailException(f"{event.get('cause')}. What to do next: {event.get('next_action')}")


class LaunchBuilderOperator(_LibraryOperator):
    """Launch an instance from the forensic AMI in the analysis subnet, and wait until its agent is online."""

    def execute(self, context: Context) -> None:
        """Launch; a repeated try finds the instance of the one before."""
        instance_id = self._build().launch(context["dag_run"].run_id, context["ti"].try_number)
        seconds = self._hook.settings.instance_timeout_seconds
        trigger = ForensicInstanceOnlineTrigger(instance_id=instance_id, **self._timing(seconds))
        self.defer(trigger=trigger, method_name="online", timeout=timedelta(seconds=seconds + 120))

    def online(self, context: Context, event: Event) -> str:
        """Return the instance's id; what kept it from coming up fails the step."""
        self._raise_if_failed(event)
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
        """Send the command and wait for it."""
        self._send(last=False)

    def _send(self, *, last: bool) -> None:
        job = self._build().send(self.package, self.sha256)
        timing = self._timing(BUILD_SECONDS + 180)
        trigger = SsmCommandsCompletedTrigger(commands=[[job.command_id, job.instance_id]], **timing)
        limit = timedelta(seconds=BUILD_SECONDS + 300)
        given = {"job": job.model_dump(), "last": last}
        self.defer(trigger=trigger, method_name="keep", kwargs=given, timeout=limit)

    def keep(self, context: Context, event: Event, job: dict[str, str], last: bool = True) -> dict[str, object]:
        """Check what landed, sign it, put it into the library."""
        build, sent = self._build(), BuildJob.stored(job)
        try:
            build.revoke(sent)
        except AwsError as error:  # its URLs expire by themselves; the table must not be lost for it
            self.log.warning("the manifest below %s was not deleted: %s", sent.prefix, error)
        self._raise_if_failed(event)
        if not last and build.was_not_taken(sent):
            self.log.warning("command %s was not taken by %s: it is sent again", sent.command_id, sent.instance_id)
            self._send(last=True)
        try:
            table = build.store(sent, package=self.package, sha256=self.sha256)
        except ForensicsError as error:
            # Another try would build the same from the same package.
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error
        self.log.info("symbol table %s of kernel %s", table.key, table.banner)
        return table.model_dump(mode="json", include={"banner", "method", "key", "sha256", "symbols", "notes"})


class RemoveBuilderOperator(_LibraryOperator):
    """Terminate the builder, whatever happened before, and wait until it is gone."""

    def execute(self, context: Context) -> list[str] | None:
        """Terminate; safe to repeat."""
        ending = self._build().terminate()
        if not ending:
            return []
        seconds = self._hook.settings.instance_timeout_seconds
        trigger = InstancesGoneTrigger(instance_ids=ending, **self._timing(seconds))
        self.defer(trigger=trigger, method_name="gone", timeout=timedelta(seconds=seconds + 120))
        return None

    def gone(self, context: Context, event: Event) -> list[str]:
        """Return the instances that were removed."""
        self._raise_if_failed(event)
        return list(event["instances"])
