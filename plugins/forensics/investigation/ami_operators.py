"""Step that builds the forensic AMI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.errors import InvestigationError
from forensics.investigation.ami_build import AmiBuild
from forensics.investigation.ami_statements import AMI_BUILD
from forensics.investigation.image_triggers import ImageBuiltTrigger

BUILD_SECONDS = 3 * 3600


class BuildForensicAmiOperator(BaseOperator):
    """Run the Image Builder pipeline, wait (deferred), publish the AMI's id to the SSM parameter.

    A failed build or test phase leaves the parameter unchanged: cases continue with the previous AMI. A repeated try of
    one run finds the execution that it started.
    """

    def execute(self, context: Context) -> None:
        """Start and wait."""
        settings = ForensicsHook().settings
        if not settings.image_pipeline_arn:
            raise AirflowSkipException("forensics.image_pipeline_arn is not set: the AMI is made elsewhere")
        arn = self._build().start(context["dag_run"].run_id)
        self.log.info("image %s is being built", arn)
        deadline = datetime.now(UTC).timestamp() + BUILD_SECONDS
        trigger = ImageBuiltTrigger(image_arn=arn, poll=settings.poll_seconds, deadline=deadline)
        self.defer(trigger=trigger, method_name="publish", timeout=timedelta(seconds=BUILD_SECONDS + 120))

    def publish(self, context: Context, event: Mapping[str, object]) -> dict[str, object]:
        """Publish an image that passed its tests; a failed build fails the step."""
        try:
            return self._build().publish(event).model_dump()
        except InvestigationError as error:
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error

    def _build(self) -> AmiBuild:
        hook = ForensicsHook()
        return AmiBuild.of(hook.own(), hook.forensic(AMI_BUILD), hook.forensic(AMI_BUILD, "custodian"), hook.settings)
