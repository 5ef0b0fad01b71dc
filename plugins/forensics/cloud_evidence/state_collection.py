"""Collects what the account says of the target now and before: its role, its configuration, its sessions, and where further logs are.

Taken at once: containment changes the role. Each part answers, is not switched on, or fails by name, and the others go on.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from forensics.aws.config_history import ConfigGateway
from forensics.aws.elb import BalancerGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.iam_state import IamStateGateway
from forensics.aws.log_groups import TAG, TAG_VALUE, LogGroupGateway
from forensics.aws.ssm_sessions import SessionGateway
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.balancer_logs import note, pointer, waf_pointer
from forensics.cloud_evidence.log_evidence import case_window, enter, run_name, store_records, store_sources
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_collection import PHASE
from forensics.confined import MIB
from forensics.errors import ForensicsError
from forensics.models.evidence import AccountStateEvidence, Digest, EvidenceKind, LogOrigin, Outcome
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

MOST_OUTPUT = 4 * MIB
_MOST_READ_SESSIONS = 20


def state_item(instance_id: str) -> str:
    """Evidence id of what the account says of a case's target."""
    return evidence_id(EvidenceKind.ACCOUNT_STATE, instance_id)


@dataclass
class Parts:
    """The answers, one a line: which call about what. ``notes`` say what is not switched on, ``gaps`` what could not be had."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, part: str, subject: str, answer: object) -> None:
        """Keep an answer as AWS gave it."""
        self.lines.append({"part": part, "subject": subject, "answer": answer})

    def attempt(self, what: str, ask: Callable[..., None], *given: object) -> None:
        """Ask; what fails is a gap by name."""
        try:
            ask(*given)
        except ForensicsError as error:
            self.gaps.append(f"{what}: {error}"[:400])

    def chunks(self) -> Iterator[bytes]:
        """A gzip file of them."""
        text = "\n".join(json.dumps(line, default=_plain, sort_keys=True) for line in self.lines)
        yield gzip.compress(f"{text}\n".encode(), mtime=0)


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


class StateCollection:
    """One collection, in the target's account and Region."""

    def __init__(
        self, recorder: CaseRecorder, settings: Settings, *, iam: IamStateGateway, config: ConfigGateway,
        sessions: SessionGateway, groups: LogGroupGateway, balancers: BalancerGateway,
    ) -> None:  # fmt: skip
        self._recorder = recorder
        self._settings = settings
        self._iam = iam
        self._config = config
        self._sessions = sessions
        self._groups = groups
        self._balancers = balancers
        self._item = state_item(recorder.case.instance_id)

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """A collection under the case's own session."""
        session = sessions.target(PHASE)
        return cls(
            recorder,
            sessions.settings,
            iam=IamStateGateway.of(session),
            config=ConfigGateway.of(session),
            sessions=SessionGateway.of(session),
            groups=LogGroupGateway.of(session),
            balancers=BalancerGateway.of(session),
        )

    def known(self) -> AccountStateEvidence | None:
        """What an earlier try has recorded."""
        found = self._recorder.evidence_item(self._item)
        return found if isinstance(found, AccountStateEvidence) else None

    def collect(self, target: Target, *, since: datetime | None = None) -> AccountStateEvidence:
        """Ask, store and record, from ``since`` on where that is earlier than usual. Never raises for an answer that could not be had; ``FAILED`` when there is none at all."""
        began = begin(self._recorder).at
        window = case_window(self._recorder, self._settings, since)
        parts = Parts()
        role_id = self._role(parts, target)
        self._history(parts, target, role_id, window)
        parts.attempt("sessions on the target", self._session_logs, parts, target, window)
        parts.attempt("logs of the target's load balancers", self._balancer_logs, parts, target, window)
        return self._stored(parts, window, began=began)

    # ------------------------------------------------------------------ the parts
    def _role(self, parts: Parts, target: Target) -> str:
        """The role of the instance profile; returns its id, by which Config knows it."""
        profile = (target.profile_arn or "").rsplit("/", 1)[-1]
        if not profile:
            parts.notes.append("the target has no instance profile")
            return ""
        role_id = ""

        def ask() -> None:
            nonlocal role_id
            found = self._iam.profile(profile)
            parts.add("iam-profile", profile, found)
            for listed in found.get("Roles", []):
                name = str(listed.get("RoleName", ""))
                role = self._iam.role(name)
                role_id = str(role.get("RoleId", ""))
                parts.add("iam-role", name, role)
                for policy in self._iam.attached(name):
                    parts.add("iam-policy", name, policy)
                for policy in self._iam.inline(name):
                    parts.add("iam-policy", name, policy)
                parts.attempt(f"services that role {name} used", used, str(role.get("Arn", "")), name)

        def used(arn: str, name: str) -> None:
            services = self._iam.services_used(arn)
            if services is None:
                parts.gaps.append(f"IAM's report of the services that role {name} used was not ready in time")
            else:
                parts.add("iam-services", name, services)

        parts.attempt(f"role of instance profile {profile}", ask)
        return role_id

    def _history(self, parts: Parts, target: Target, role_id: str, window: RecordWindow) -> None:
        asked = [("AWS::EC2::Instance", target.instance_id)]
        asked += [("AWS::EC2::NetworkInterface", i.id) for i in target.interfaces]
        asked += [
            ("AWS::EC2::SecurityGroup", g) for g in dict.fromkeys(g for i in target.interfaces for g in i.group_ids)
        ]
        asked += [("AWS::IAM::Role", role_id)] if role_id else []
        off: list[str] = []

        def ask(kind: str, resource: str) -> None:
            items, why = self._config.history(kind, resource, begin=window.begin, end=window.end)
            off.extend([f"{resource}: {why}"] if why else [])
            for item in items:
                parts.add("config", resource, item)

        for kind, resource in asked:
            parts.attempt(f"Config's history of {resource}", ask, kind, resource)
        if off and len(off) == len(asked):
            parts.notes.append(
                f"AWS Config has no history of the target: switch on its recorder in this Region ({off[0]})"[:300]
            )

    def _balancer_logs(self, parts: Parts, target: Target, window: RecordWindow) -> None:
        """Where they lie: who asked what of the target is there, and a busy balancer's files are too many to be collected."""
        addresses = [i.private_ip for i in target.interfaces if i.private_ip] + [
            a for i in target.interfaces for a in i.ipv6
        ]
        members = self._balancers.memberships(
            target.instance_id, addresses=addresses, vpc_ids=[target.vpc_id] if target.vpc_id else []
        )
        case = self._recorder.case
        for log in self._balancers.access_logs(members):
            found = pointer(log, account_id=case.account_id, region=case.region, window=window)
            parts.add("balancer-log", log.balancer, found)
            parts.notes.append(note(found)[:500])
            if log.kind == "application" and log.what == "access":
                parts.notes.append(waf_pointer(log.balancer)[:500])

    def _session_logs(self, parts: Parts, target: Target, window: RecordWindow) -> None:
        sessions = [s for s in self._sessions.sessions(target.instance_id) if _within(s, window)]
        for session in sessions:
            parts.add("ssm-session", target.instance_id, session)
        logging = self._sessions.logging()
        if not sessions:
            return
        names = [str(s.get("SessionId", "")) for s in sessions]
        if logging.bucket:
            root = f"s3://{logging.bucket}/{logging.prefix.strip('/')}".rstrip("/")
            parts.notes.append(
                f"what was typed and shown in {len(names)} sessions lies in {root}: aws s3 cp {root}/{names[0]}.log -"
            )
        if logging.group:
            self._shown(parts, logging.group, names, window)
        if not logging.bucket and not logging.group:
            parts.notes.append(
                f"what was typed and shown in {len(names)} sessions was not logged: Session Manager's preferences name neither bucket nor log group"
            )

    def _shown(self, parts: Parts, group: str, names: list[str], window: RecordWindow) -> None:
        room = MOST_OUTPUT

        def ask(name: str) -> None:
            nonlocal room
            for page in self._groups.pages(group, begin=window.begin, end=window.end, streams=name):
                room -= page.size
                if room < 0:
                    parts.gaps.append(
                        f"session {name}: more than {MOST_OUTPUT // MIB} MiB of output, the rest is in log group {group}"
                    )
                    return
                if page.messages:
                    parts.add("ssm-output", name, list(page.messages))

        before = len(parts.gaps)
        for name in names[:_MOST_READ_SESSIONS]:
            if room >= 0 and len(parts.gaps) == before:
                parts.attempt(f"output of session {name} in log group {group}", ask, name)
        if len(parts.gaps) > before and room >= 0:
            parts.gaps.append(f"tag log group {group} with {TAG}={TAG_VALUE} to let role logs read it")

    # ------------------------------------------------------------------ the record
    def _stored(self, parts: Parts, window: RecordWindow, *, began: datetime) -> AccountStateEvidence:
        recorder, run, kind, case = self._recorder, run_name(began), EvidenceKind.ACCOUNT_STATE, self._recorder.case
        if not parts.lines and not parts.gaps:
            item = AccountStateEvidence(evidence_id=self._item, outcome=Outcome.NOT_APPLICABLE)
            return recorder.fail_evidence(item, reason="; ".join(parts.notes)[:1000], outcome=Outcome.NOT_APPLICABLE)
        stored = store_records(recorder, kind, self._item, run=run, name="state.jsonl.gz", chunks=parts.chunks())
        counts: dict[str, int] = {}
        for line in parts.lines:
            counts[str(line["part"])] = counts.get(str(line["part"]), 0) + 1
        listed = store_sources(recorder, kind, self._item, run=run, sources={"kind": "api", "answers": counts})
        outcome = Outcome.PARTIAL if parts.gaps else Outcome.ACQUIRED
        origin = LogOrigin(
            source="api", begin=window.begin, end=window.end, regions=(case.region,), objects=len(counts), records=len(parts.lines),
            sources=listed, notes=tuple(n[:500] for n in parts.notes),
        )  # fmt: skip
        evidence = AccountStateEvidence(
            evidence_id=self._item, outcome=outcome if parts.lines else Outcome.FAILED, reason="; ".join(parts.gaps)[:1000] or None,
            account_id=case.account_id, region=case.region, uri=stored.uri, version_id=stored.version_id, size_bytes=stored.size_bytes,
            started_at=began, ended_at=datetime.now(UTC), origin=origin,
            lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            digests=(Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),),
        )  # fmt: skip
        return enter(recorder, evidence, stored, what="the account's state")


def _within(session: dict[str, Any], window: RecordWindow) -> bool:
    """Whether a session was open in the window; one that does not say is."""
    begin, end = session.get("StartDate"), session.get("EndDate")
    return (not isinstance(begin, datetime) or begin <= window.end) and (
        not isinstance(end, datetime) or end >= window.begin
    )
