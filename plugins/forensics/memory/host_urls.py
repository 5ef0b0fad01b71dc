"""Which names of S3 the URLs for a target have: one without IPv4 reaches the dual-stack names only."""

from __future__ import annotations

from forensics.aws.s3_landing import LandingGateway, ToolsGateway
from forensics.case.recorder import CaseRecorder
from forensics.settings import Settings


def reached_by_target(recorder: CaseRecorder, settings: Settings) -> tuple[LandingGateway, ToolsGateway]:
    """Landing and tools bucket with URLs that the case's target can use.

    Targets with IPv4 get the usual names unless the setting says otherwise: an interface endpoint of their VPC may have a
    private name for those alone.
    """
    landing, tools = recorder.gateways.landing, recorder.gateways.tools
    target = recorder.target()
    if settings.dual_stack_urls or (target is not None and target.ipv6_only):
        return landing.dual_stack(), tools.dual_stack()
    return landing, tools
