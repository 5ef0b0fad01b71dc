"""What must hold of the intake's answer to any text, judged by the text alone, without the parsers' help.

The heart of it: an account, a Region or an instance may only come out of the intake when the text itself holds them, an
envelope of AWS's own sources carried them, and every finding's place is one that nothing in the text contradicts.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from forensics.models.finding import Finding, FindingSource
from forensics.models.intake import IntakeResult, IntakeVerdict

OWN_ACCOUNT = "222233334444"
ADMINISTRATORS = frozenset({"111122223333"})
_ARN = re.compile(r"^arn:aws[a-z-]*:ec2:([a-z0-9-]+):([0-9]{12}):instance/(i-[0-9a-f]{8,17})$")


class Violation(AssertionError):
    """The intake gave an answer that it must never give."""


def check(text: str, intake: IntakeResult) -> None:
    """Raise :class:`Violation` unless the answer is one that may be given to this text."""
    _require(not intake.reason.startswith("internal error"), f"exception inside: {intake.reason}")
    _require(0 < len(intake.reason) <= 300 and intake.reason.isprintable(), "the reason cannot be shown")
    _require(bool(intake.findings) == (intake.verdict is IntakeVerdict.ACCEPT), "verdict and findings disagree")
    _require(type(intake).model_validate_json(intake.model_dump_json()) == intake, "it does not survive JSON")
    if not intake.findings and not intake.unresolved and not intake.without_instance:
        return
    document = json.loads(text)
    strings = _strings(_with_body(document))
    for finding in intake.findings:
        _check_finding(finding, document=document, strings=strings)
    webhooks = [finding for finding in intake.findings if finding.source is FindingSource.WEBHOOK]
    _require(bool(webhooks) <= (intake.signed is not None), "a webhook counts without a look at its signature")
    keys = [finding.key for finding in intake.findings]
    _require(len(set(keys)) == len(keys), "two findings have one key")
    for reference in intake.unresolved:
        _require(reference.account_id in strings, "the account of a resource is made up")
        _require(any(reference.resource_id in s for s in strings), "the resource is made up")
        _require(reference.account_id != OWN_ACCOUNT, "a resource of the forensic account is looked up")
    for item in intake.without_instance:
        _require(any(item.account_id in s for s in strings), "people are told of an account that is not in the event")
        _require(all(any(node in s for s in strings) for node in item.nodes), "a node is made up")
        _require(item.title.isprintable() and item.resource.isprintable(), "text that cannot be shown")


def _check_finding(finding: Finding, *, document: Any, strings: set[str]) -> None:
    _require(finding.account_id != OWN_ACCOUNT, "a finding about the forensic account was accepted")
    _require(any(finding.account_id in s for s in strings), "the account is not in the event")
    _require(any(finding.instance_id in s for s in strings), "the instance is not in the event")
    _require(any(finding.region in s for s in strings), "the Region is not in the event")
    _require(finding.title.isprintable() and all(t.isprintable() for t in finding.types), "text that cannot be shown")
    envelope = document if isinstance(document, dict) else {}
    if "detail-type" in envelope:
        _check_envelope(finding, envelope)
    _require(finding.webhook is None, "a message brought the proof of its signature along")
    if finding.source is FindingSource.MANUAL:
        _require(finding.signature is not None, "an unsigned request was accepted")
    _check_place(finding, strings)


def _check_envelope(finding: Finding, envelope: dict[str, Any]) -> None:
    source = envelope.get("source")
    _require(
        source in ("aws.securityhub", "aws.guardduty", "aws.config", "forensics.manual", "webhook"),
        f"source {source!r}",
    )
    stated = envelope.get("account")
    if finding.source is FindingSource.CONFIG and stated:
        _require(stated == finding.account_id, "a Config rule of another account")
    if finding.source is FindingSource.GUARDDUTY and envelope.get("region"):
        _require(envelope["region"] == finding.region, "GuardDuty is regional")


def _check_place(finding: Finding, strings: set[str]) -> None:
    """An ARN of the instance, wherever in the finding it stands alone, says where the instance is."""
    arns = [match for match in (_ARN.match(s) for s in strings) if match and match[3] == finding.instance_id]
    if arns and finding.source in {FindingSource.SECURITY_HUB, FindingSource.SECURITY_HUB_ACTION}:
        places = {(match[1], match[2]) for match in arns}
        _require((finding.region, finding.account_id) in places, f"the instance is in {places}, not where it was put")


def _with_body(document: Any) -> Any:
    """The event and what a webhook of it holds in base64."""
    detail = document.get("detail") if isinstance(document, dict) else None
    body = detail.get("body") if isinstance(detail, dict) else None
    if not isinstance(body, str):
        return document
    try:
        return [document, json.loads(base64.b64decode(body, validate=True))]
    except (binascii.Error, ValueError):
        return document


def _strings(node: Any) -> set[str]:
    """Every text in a document, and in documents that are texts of it."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.add(value)
            if value.lstrip().startswith("{"):
                try:
                    waiting.append(json.loads(value))
                except (ValueError, RecursionError):
                    continue
    return found


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)
