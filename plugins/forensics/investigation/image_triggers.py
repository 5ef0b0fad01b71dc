"""The wait for an image of EC2 Image Builder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from forensics.aws.hook import ForensicsHook
from forensics.aws.image_builder import ImageBuilderGateway
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.investigation.ami_statements import AMI_BUILD

# Source identity of the builds: the role allows Image Builder under it, and under no case's.


class ImageBuiltTrigger(PollTrigger):
    """Fires when an image is AVAILABLE or has failed.

    :param image_arn: the image's ARN
    """

    def __init__(self, *, image_arn: str, **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.image_arn = image_arn

    def arguments(self) -> Mapping[str, object]:
        return {"image_arn": self.image_arn}

    def waiting_for(self) -> str:
        return f"image {self.image_arn}"

    def check(self) -> WaitResult | None:
        image = ImageBuilderGateway.of(ForensicsHook().forensic(AMI_BUILD)).image(self.image_arn)
        if image.working:
            return None
        payload = {"image_arn": image.arn, "status": image.status, "reason": image.reason, "ami_id": image.ami_id}
        return WaitResult(ok=True, payload=payload)
