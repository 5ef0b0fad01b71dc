"""Waiting for an image of EC2 Image Builder."""

from __future__ import annotations

from typing import Any

from forensics.hooks.session import ForensicsHook
from forensics.triggers.base import Outcome, PollTrigger


class ImageBuiltTrigger(PollTrigger):
    """Fires when an image is AVAILABLE, or will never be.

    :param image_arn: the image's ARN
    """

    def __init__(self, *, image_arn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_arn = image_arn

    def arguments(self) -> dict[str, Any]:
        return {"image_arn": self.image_arn}

    def waiting_for(self) -> str:
        return f"image {self.image_arn}"

    def check(self) -> Outcome | None:
        image = ForensicsHook().image_builder().image(self.image_arn)
        if image.working:
            return None
        payload = {"image_arn": image.arn, "status": image.status, "reason": image.reason, "ami_id": image.ami_id}
        return Outcome(ok=True, payload=payload)
