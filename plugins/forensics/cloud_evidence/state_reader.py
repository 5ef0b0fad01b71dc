"""Reads what the account said of a target in a process of its own (``forensics.confined``): findings and timeline. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from forensics.cloud_evidence.log_reading import LogReading, lines_of
from forensics.confined import Channel
from forensics.models.base import AccountId, Utc
from forensics.models.outside import Outside
from forensics.models.results import Confidence, ResultSeverity, ToolFinding, ToolGap, ToolTimelineEntry

FUNCTION = "forensics.cloud_evidence.state_reader:examine"
_MOST = 300
SOURCE = "Account state"


class StateOrder(Outside):
    """What the reader is told of the case."""

    account_id: AccountId
    region: str
    alarm: Utc


def examine(order: bytes, channel: Channel) -> LogReading:
    """The child's work: the stored gzip file of answers comes in, what it means goes out."""
    told = StateOrder.model_validate_json(order)
    answers, unread = [], 0
    for line in lines_of(channel.chunks()):
        try:
            answers.append(json.loads(line))
        except ValueError:
            unread += 1
    channel.passed()
    reading = of_answers(told, answers)
    gaps = (ToolGap(what=SOURCE, why=f"{unread} stored answers cannot be read"),) if unread else ()
    return reading.model_copy(update={"gaps": gaps})


def of_answers(order: StateOrder, answers: Iterable[dict[str, Any]]) -> LogReading:
    """What answers mean for a case."""
    state = _State(order)
    for line in answers:
        state.take(str(line.get("part")), str(line.get("subject")), line.get("answer"))
    return LogReading(
        findings=tuple(state.findings[:_MOST]),
        timeline=tuple(sorted(state.events, key=lambda e: e.time)[:_MOST]),
        counts={"answers": sum(state.counts.values()), **state.counts},
    )


class _State:
    """Findings and events, answer by answer."""

    def __init__(self, order: StateOrder) -> None:
        self._order = order
        self.findings: list[ToolFinding] = []
        self.events: list[ToolTimelineEntry] = []
        self.counts: Counter[str] = Counter()

    def take(self, part: str, subject: str, answer: Any) -> None:
        """One answer."""
        self.counts[part] += 1
        if part == "iam-services" and isinstance(answer, list):
            self._services(subject, answer)
        elif isinstance(answer, dict):
            reader = {
                "iam-role": self._role,
                "iam-policy": self._policy,
                "config": self._config,
                "ssm-session": self._session,
            }
            reader.get(part, _nothing)(subject, answer)

    def _role(self, name: str, role: dict[str, Any]) -> None:
        for statement in _statements(role.get("AssumeRolePolicyDocument")):
            if statement.get("Effect") != "Allow":
                continue
            for who in _principals(statement):
                account = who.split(":")[4] if who.startswith("arn:") and who.count(":") >= 5 else who
                if who == "*" or (account.isdigit() and account != self._order.account_id):
                    anybody = who == "*" and not statement.get("Condition")
                    self._add(
                        "trust", f"The instance's role {name} may be assumed by {'anybody' if anybody else who}",
                        json.dumps(statement, sort_keys=True), ResultSeverity.HIGH if anybody else ResultSeverity.LOW, "T1098.003",
                    )  # fmt: skip
        last = role.get("RoleLastUsed") if isinstance(role.get("RoleLastUsed"), dict) else {}
        used, where = _time(last.get("LastUsedDate")), str(last.get("Region", ""))  # type: ignore[union-attr]
        if used:
            self._event(used, f"Role {name} was last used in {where or 'a Region that IAM does not name'}")
            if where and where != self._order.region:
                self._add(
                    "last-used", f"The instance's role {name} was last used in {where}, not in {self._order.region}",
                    f"last used {used:%Y-%m-%d %H:%M:%SZ} (IAM GetRole, RoleLastUsed)", ResultSeverity.LOW, "T1535", time=used,
                )  # fmt: skip

    def _policy(self, role: str, policy: dict[str, Any]) -> None:
        name = str(policy.get("PolicyName", ""))
        for statement in _statements(policy.get("Document")):
            everything = "*" in _listed(statement.get("Action")) and "*" in _listed(statement.get("Resource"))
            if statement.get("Effect") == "Allow" and everything and not statement.get("Condition"):
                self._add(
                    "everything", f"The instance's role {role} may do everything: policy {name}",
                    json.dumps(statement, sort_keys=True), ResultSeverity.LOW, "T1078.004",
                )  # fmt: skip
        made = _time(policy.get("UpdateDate"))
        if made and str(policy.get("Arn", "")).split(":")[4:5] == [self._order.account_id]:
            self._event(made, f"Policy {name} of role {role} was last changed")

    def _services(self, role: str, services: list[Any]) -> None:
        for service in services:
            used = _time(service.get("LastAuthenticated")) if isinstance(service, dict) else None
            if used and used >= self._order.alarm:
                where = str(service.get("LastAuthenticatedRegion") or "")
                self._event(
                    used, f"Role {role} last called {service.get('ServiceNamespace')}{f' in {where}' if where else ''}"
                )

    def _config(self, resource: str, item: dict[str, Any]) -> None:
        when, status = _time(item.get("configurationItemCaptureTime")), str(item.get("configurationItemStatus", ""))
        if when:
            calls = item.get("relatedEvents")
            related = f", CloudTrail {calls[0]}" if isinstance(calls, list) and calls else ""
            self._event(when, f"Config recorded {item.get('resourceType')} {resource}: {status}{related}")

    def _session(self, instance: str, session: dict[str, Any]) -> None:
        begin, end = _time(session.get("StartDate")), _time(session.get("EndDate"))
        who, name = str(session.get("Owner", "")), str(session.get("SessionId", ""))
        until = f" until {end:%Y-%m-%d %H:%M:%SZ}" if end else ", which is open"
        self._add(
            "session", f"Session by SSM on {instance} by {who}", f"session {name}{until}; document {session.get('DocumentName') or 'of the preferences'}",
            ResultSeverity.LOW, "T1021.008", time=begin, mark=name,
        )  # fmt: skip
        if begin:
            self._event(begin, f"Session {name} by SSM on {instance} by {who}{until}")

    def _add(
        self, rule: str, title: str, detail: str, severity: ResultSeverity, technique: str, *, time: datetime | None = None,
        mark: str = "",
    ) -> None:  # fmt: skip
        digest = hashlib.sha256(f"{rule}|{title}|{mark}".encode()).hexdigest()[:12]
        self.findings.append(
            ToolFinding(
                id=f"state-{rule}-{digest}",
                title=title[:400],
                detail=detail[:1500],
                severity=severity,
                confidence=Confidence.HIGH,
                time=time,
                technique=technique,
                source=SOURCE,
            )
        )

    def _event(self, time: datetime, what: str) -> None:
        self.events.append(ToolTimelineEntry(time=time, what=what[:900], source=SOURCE))


def _nothing(_subject: str, _answer: dict[str, Any]) -> None:
    """Kept as evidence, and nothing is said of it."""


def _statements(document: Any) -> list[dict[str, Any]]:
    """Statements of a policy that boto3 has read; one alone may stand without its list (IAM user guide, *Grammar of the policy language*)."""
    found = document.get("Statement") if isinstance(document, dict) else None
    return [s for s in (found if isinstance(found, list) else [found]) if isinstance(s, dict)]


def _principals(statement: dict[str, Any]) -> list[str]:
    given = statement.get("Principal")
    return _listed(given.get("AWS")) if isinstance(given, dict) else _listed(given)


def _listed(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
