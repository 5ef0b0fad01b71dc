"""Which checks a preflight makes, in which order: first whether AWS answers at all, then everything else at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from forensics.aws.ssm import SsmGateway
from forensics.errors import ResourceGoneError
from forensics.models.channels import CHAT
from forensics.models.preflight import CheckResult, CheckStatus, PreflightReport
from forensics.preflight.account_checks import (
    DocumentCheck,
    MemberKeyCheck,
    RoleCheck,
    forensic_documents,
    member_documents,
)
from forensics.preflight.ami_check import AmiRegionCheck
from forensics.preflight.channel_check import ChannelCheck
from forensics.preflight.check import BrokenError, Check
from forensics.preflight.drill_check import DrillCheck
from forensics.preflight.intake_check import IntakeCheck, NoticesCheck, PagesCheck
from forensics.preflight.lake_check import LakeCheck
from forensics.preflight.policy_check import PolicyCheck
from forensics.preflight.push_check import PushCheck
from forensics.preflight.reach_check import reach_checks
from forensics.preflight.runner import run_checks
from forensics.preflight.scope import FORENSIC_PHASES, MEMBER_PHASES, SECURITY_PHASES, PreflightScope
from forensics.preflight.storage_checks import (
    EvidenceCheck,
    LandingCheck,
    LedgerCheck,
    StoreCheck,
    TokenCheck,
    ToolsCheck,
    phase_session,
)
from forensics.preflight.summary_check import SummaryCheck
from forensics.preflight.target_checks import ContainmentCheck, DiskCheck, GroupCheck
from forensics.preflight.webhook_check import WebhookCheck
from forensics.settings import names, pairs, static_collectors

Say = Callable[[CheckResult], None]
STS = "sts in "


class AmiCheck(Check):
    """The parameter that names the forensic AMI exists."""

    name = "forensic AMI"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.ami_parameter)
        self._scope = scope

    def attempt(self) -> str:
        """Read it."""
        action = (
            "run the DAG forensic_ami_build, or give AmiId in the deployment's configuration (stack forensics-analysis)"
        )
        try:
            found = SsmGateway.of(phase_session(self._scope, "analyse")).parameter(self._scope.settings.ami_parameter)
        except ResourceGoneError as error:
            raise BrokenError(error.message, next_action=action) from error
        if not found.startswith("ami-"):
            raise BrokenError(f"it holds {found[:40]!r}, which names no image", next_action=action)
        return found


def role_checks(scope: PreflightScope) -> Iterator[Check]:
    """Every phase's role of every account."""
    own = scope.settings.forensic_account_id
    for accounts, phases in (
        ((own,), FORENSIC_PHASES),
        (scope.security_accounts, SECURITY_PHASES),
        (scope.members, MEMBER_PHASES),
    ):
        for account in accounts:
            for phase in phases:
                yield RoleCheck(scope, account_id=account, phase=phase)


def quick_checks(scope: PreflightScope) -> Iterator[Check]:
    """What needs the roles: everything of the quick part but reach and roles."""
    s = scope.settings
    yield IntakeCheck(scope)
    yield LandingCheck(scope)
    yield EvidenceCheck(scope)
    yield TokenCheck(scope)
    yield LedgerCheck(scope)
    yield StoreCheck(scope)
    yield NoticesCheck(scope)
    yield AmiCheck(scope)
    yield from (AmiRegionCheck(scope, region) for region in names(s.ami_regions) if region != s.region)
    yield PagesCheck(scope)
    yield from tool_checks(scope)
    yield from (WebhookCheck(scope, name) for name in pairs(s.webhook_senders))
    yield from (ChannelCheck(scope, name) for name in ([CHAT] if s.chat_topic_arn else []) + list(pairs(s.channels)))
    yield from (PushCheck(scope, name) for name in pairs(s.pushes))
    if s.summary_model:
        yield SummaryCheck(scope)
    if s.record_lake_gib:
        yield from (LakeCheck(scope, store) for store in names(s.record_data_stores))
    if s.drill_account:
        yield DrillCheck(scope)
    if s.policy_key:
        yield PolicyCheck(scope)
    yield DocumentCheck(scope, forensic_documents(), account_id=s.forensic_account_id, region=s.region, phase="analyse")
    for account in scope.members:
        for region in scope.regions:
            yield DocumentCheck(scope, member_documents(), account_id=account, region=region, phase="acquire")
            yield MemberKeyCheck(scope, account_id=account, region=region)


def tool_checks(scope: PreflightScope) -> Iterator[ToolsCheck]:
    """Every object of the tools bucket that the settings name."""
    s = scope.settings
    wanted = {
        s.capture_tool_key: s.capture_tool_sha256,
        **({s.capture_tool_arm64_key: s.capture_tool_arm64_sha256} if s.capture_tool_arm64_sha256 else {}),
        **({s.winpmem_key: s.winpmem_sha256} if s.winpmem_sha256 else {}),
        **dict(static_collectors(s).values()),
        **{key: "" for key in (s.lime_list_key, s.policy_key, s.never_isolate_key) if key},
    }
    for key, sha256 in wanted.items():
        yield ToolsCheck(scope, key=key, sha256=sha256)


def full_checks(scope: PreflightScope) -> Iterator[Check]:
    """What makes something, in the named instance's account or else in the first member's."""
    target = scope.target
    places = (
        [(target.account_id, target.region)] if target else [(a, r) for a in scope.members[:1] for r in scope.regions]
    )
    for account, region in places:
        yield GroupCheck(scope, account_id=account, region=region)
    if target:
        yield ContainmentCheck(scope, target)
        yield DiskCheck(scope, target)


def run_preflight(scope: PreflightScope, *, say: Say = lambda _: None) -> PreflightReport:
    """Make all checks and return the report; nothing of it is left behind but what a lock keeps."""
    began = datetime.now(UTC)
    reach = list(reach_checks(scope))
    # STS first, alone: without it no role can be assumed, and each of the others would wait for it
    results = run_checks([c for c in reach if c.subject.startswith(STS)], patience=scope.patience, say=say)
    others = [c for c in reach if not c.subject.startswith(STS)]
    if any(r.status is CheckStatus.BROKEN for r in results):
        results += _not_tried([*others, *_rest(scope)], say)
    else:
        results += run_checks(others, patience=scope.patience, say=say)
        # the roles next, alone: what they answer is kept for all others
        results += run_checks(role_checks(scope), patience=scope.patience, say=say)
        rest = [*quick_checks(scope), *(full_checks(scope) if scope.full else ())]
        results += run_checks(rest, patience=scope.patience, say=say)
    if not scope.full or scope.target is None:
        results += _left_out(scope)
    return PreflightReport.of(
        results,
        run=scope.run,
        part="full" if scope.full else "quick",
        at=began,
        seconds=(datetime.now(UTC) - began).total_seconds(),
    )


def _rest(scope: PreflightScope) -> Iterable[Check]:
    return [*role_checks(scope), *quick_checks(scope), *(full_checks(scope) if scope.full else ())]


def _not_tried(checks: Iterable[Check], say: Say) -> list[CheckResult]:
    why = "STS does not answer, so no role can be assumed"
    lines = [c.line(CheckStatus.NOT_TRIED, why, "repair the way to STS (the line of `reach`) first") for c in checks]
    for line in lines:
        say(line)
    return lines


def _left_out(scope: PreflightScope) -> list[CheckResult]:
    """One line for each check that this part leaves out."""
    missing = [(DiskCheck.name, "a spare instance with a small disk"), (ContainmentCheck.name, "an instance")]
    if not scope.full:
        missing.append((GroupCheck.name, "the full part"))
    return [
        CheckResult(
            check=name,
            status=CheckStatus.NOT_TRIED,
            detail=f"it needs {what}",
            next_action="start the DAG forensic_preflight with part = full"
            + (" and that instance" if "instance" in what else ""),
        )
        for name, what in missing
    ]
