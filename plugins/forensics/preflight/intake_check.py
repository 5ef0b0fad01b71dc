"""The way of a finding, from the security account to the intake; and who hears of what comes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from forensics.aws.case_store import CaseStore
from forensics.aws.sns import Notifier
from forensics.aws.sqs import FindingQueue
from forensics.case_keys import HEARTBEAT, HEARTBEAT_AWAITED, PREFLIGHT_PAGES
from forensics.errors import ForensicsError
from forensics.models.preflight import CheckStatus, Heartbeat, PagesReach, WaitingSince
from forensics.naming import PREFLIGHT
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope
from forensics.printable import count

# The schedule forensics-heartbeat (infra/cloudformation/security-account.yaml) sends every quarter of an hour.
EVERY = timedelta(minutes=15)
STALE = 3 * EVERY
PAGES_STALE = timedelta(days=7)


class IntakeCheck(Check):
    """A test event of the security account has come through bus, rules and queue, and the intake has dropped it.

    Nobody takes it out of the queue but the intake itself: looking for it there would hide findings from the intake.
    """

    name = "intake"

    def __init__(self, scope: PreflightScope, *, now: datetime | None = None) -> None:
        super().__init__("security account → bus → rule → queue → finding_intake")
        self._scope = scope
        self._now = now or datetime.now(UTC)

    def attempt(self) -> str:
        """Look at the queue and at the last test event."""
        own, s = self._scope.own(), self._scope.settings
        queue = FindingQueue.of(own, s)
        waiting, dead = queue.depth(), queue.dead_letters()
        store = CaseStore.of(own, s)
        beat = store.get(PREFLIGHT, HEARTBEAT, Heartbeat)
        if beat is None and self._is_new(store):
            msg = "no test event of the security account has come yet; the first comes within 15 minutes of the deployment"
            raise NotTriedError(
                msg, next_action="wait 15 minutes, run it again (or send one: infra.deployment.preflight --heartbeat)"
            )
        age = self._now - beat.received_at if beat else STALE
        if beat is None or age > STALE:
            raise self._missing(beat, waiting=waiting)
        way = (beat.received_at - beat.sent_at).total_seconds()
        return (
            f"test event of {beat.account_id} {age.total_seconds() / 60:.0f} minutes ago, {max(way, 0):.0f} s on its way; "
            f"waiting: {count(waiting, 'finding')}; {count(dead, 'dead letter')}"
        )

    def _is_new(self, store: CaseStore) -> bool:
        """Whether it is less than three quarters of an hour since the first preflight of this deployment looked for one."""
        store.put_once(PREFLIGHT, HEARTBEAT_AWAITED, WaitingSince(at=self._now))
        since = store.get(PREFLIGHT, HEARTBEAT_AWAITED, WaitingSince)
        return since is not None and self._now - since.at < STALE

    def _missing(self, beat: Heartbeat | None, *, waiting: int) -> BrokenError:
        since = f"since {beat.received_at:%Y-%m-%d %H:%M}Z" if beat else "ever"
        what = f"no test event of the security account has come through {since}; one is sent every 15 minutes"
        if waiting:
            return BrokenError(
                f"{what}; {count(waiting, 'message')} in the queue, and nobody takes them",
                next_action="start or unpause the DAG finding_intake (runbook findings-wait)",
            )
        return BrokenError(
            what,
            next_action="in the order of the way: schedule forensics-heartbeat (stack forensics-heartbeat) "
            "and rule forensics-preflight (stack forensics-security), both enabled, policy of the bus forensics, its rule forensics-preflight, policy and key of the queue "
            "forensics-findings (stack forensics-intake); the queues forensics-undelivered of both accounts hold EventBridge's "
            "reason",
        )

    def repair(self, error: ForensicsError) -> str:
        """The queue could not be read."""
        return f"{next_action_for(error)}. The queues are of stack forensics-intake; until it is repaired no finding is handled"


class NoticesCheck(Check):
    """Somebody gets the messages about cases."""

    name = "notices"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.topic_arn.rpartition(":")[2])
        self._scope = scope

    def attempt(self) -> str:
        """Count the topic's subscriptions."""
        confirmed, pending = Notifier.of(self._scope.own(), self._scope.settings).subscriptions()
        if not confirmed:
            msg = f"the topic has no confirmed subscription ({pending} wait for a confirmation): nobody hears of a case"
            action = (
                "confirm the e-mail of NoticeEmail, or subscribe your tool to the topic (stack forensics-notifications)"
            )
            raise BrokenError(msg, next_action=action)
        return f"{confirmed} subscriptions" + (f", {pending} not confirmed" if pending else "")

    def repair(self, error: ForensicsError) -> str:
        """The topic itself."""
        return f"{next_action_for(error)}. The topic is of stack forensics-notifications"


class PagesCheck(Check):
    """What the web server itself reached, the last time that somebody opened the preflight's page.

    It lives in a network of MWAA's own: only it can tell.
    """

    name = "pages"

    def __init__(self, scope: PreflightScope, *, now: datetime | None = None) -> None:
        super().__init__("web server")
        self._scope = scope
        self._now = now or datetime.now(UTC)

    def attempt(self) -> str:
        """Read what the page recorded."""
        store = CaseStore.of(self._scope.own(), self._scope.settings)
        found = store.get(PREFLIGHT, PREFLIGHT_PAGES, PagesReach)
        if found is None or self._now - found.at > PAGES_STALE:
            since = f"since {found.at:%Y-%m-%d}" if found else "yet"
            msg = (
                f"nobody has opened Forensic cases → Preflight {since}, and only the web server itself can try its way"
            )
            raise NotTriedError(msg, next_action="open that page once: it tries DynamoDB, STS and S3 from there")
        broken = [r for r in found.results if r.status is CheckStatus.BROKEN]
        if broken:
            said = "; ".join(f"{r.subject}: {r.detail}" for r in broken)
            raise BrokenError(said, next_action=broken[0].next_action)
        return f"reached {', '.join(r.subject for r in found.results)} at {found.at:%Y-%m-%d %H:%M}Z"
