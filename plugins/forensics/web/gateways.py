"""How the web pages get to the stores: opened per request, since the plugin must load where AWS or its settings are missing."""

from __future__ import annotations

from forensics.aws.hook import PAGES, ForensicsHook
from forensics.case.recorder import CaseGateways


def page_gateways() -> CaseGateways:
    """Read side for the web pages, under a role that writes and signs nothing."""
    hook = ForensicsHook()
    return CaseGateways.of(hook.own(), hook.forensic(PAGES, "reader"), hook.settings)
