"""Build the forensic AMI and let cases use it, only after its tests passed (seed step 13)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.aws.hook import ForensicsHook
from forensics.aws.image_builder import ImageBuilderGateway
from forensics.aws.sns import Notifier
from forensics.investigation.image_triggers import AMI_BUILD, ImageBuiltTrigger

BUILD_SECONDS = 3 * 3600


class BuildForensicAmiOperator(BaseOperator):
    """Run the Image Builder pipeline, wait (deferred), publish the AMI's id to the SSM parameter.

    A build or a test phase that failed leaves the parameter as it was: cases go on with the AMI before. A repeated try
    of one run finds the execution that it started.
    """

    def execute(self, context: Context) -> None:
        """Start and wait."""
        hook = ForensicsHook()
        pipeline = hook.settings.image_pipeline_arn
        if not pipeline:
            raise AirflowSkipException("forensics.image_pipeline_arn is not set: the AMI is made elsewhere")
        token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{pipeline}/{context['dag_run'].run_id}"))
        arn = ImageBuilderGateway.of(hook.forensic(AMI_BUILD)).start(pipeline, token=token)
        self.log.info("image %s is being built", arn)
        deadline = datetime.now(UTC).timestamp() + BUILD_SECONDS
        trigger = ImageBuiltTrigger(image_arn=arn, poll=hook.settings.poll_seconds, deadline=deadline)
        self.defer(trigger=trigger, method_name="publish", timeout=timedelta(seconds=BUILD_SECONDS + 120))

    def publish(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Publish an image that is whole; tell people either way."""
        hook = ForensicsHook()
        if not event.get("ok") or event.get("status") != "AVAILABLE" or not event.get("ami_id"):
            cause = (
                event.get("cause")
                or f"image {event.get('image_arn')} ended {event.get('status')}: {event.get('reason')}"
            )
            told = f"{cause}. Cases go on with the AMI before"
            _tell(hook, "The forensic AMI was NOT built", told, {"cause": cause})
            raise AirflowFailException(
                f"{told}. What to do next: read the build's log (/aws/imagebuilder/forensics), mend the component, run this again"
            )
        version = ImageBuilderGateway.of(hook.forensic(AMI_BUILD)).publish(
            hook.settings.ami_parameter, ami_id=event["ami_id"]
        )
        made = {"ami_id": event["ami_id"], "image_arn": event["image_arn"], "parameter_version": version}
        _tell(hook, "A new forensic AMI is in use", f"{event['ami_id']} from {event['image_arn']}", made)
        return made


def _tell(hook: ForensicsHook, subject: str, line: str, facts: dict[str, Any]) -> None:
    Notifier.of(hook.own(), hook.settings).publish(
        case_id="none", event="forensic_ami", subject=subject, lines=[line], facts=facts
    )
