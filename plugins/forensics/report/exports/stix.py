"""The case as a STIX 2.1 bundle (OASIS STIX Version 2.1): report, notes per finding, techniques, observables.

Ids are made from content (UUIDv5), so that a case exported twice is the same to the system that imports it. Nothing is
called malicious that no tool called so: there are no indicators, only what was observed.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from forensics.attack_techniques import TECHNIQUES
from forensics.custody.chain import canonical
from forensics.models.case import CaseView
from forensics.models.remarks import Remark, Verdict
from forensics.models.results import ResultSeverity, ToolFinding, ToolResults
from forensics.printable import visible
from forensics.report.remarks import VERDICT_WORDS, finding_key, verdicts
from forensics.report.text import cut

# STIX 2.1, section 2.9: namespace of deterministic ids of cyber-observable objects.
SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
OWN_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ec2-forensics:stix")
# STIX 2.1, section 7.2.1.4: the marking definition of TLP:AMBER, the same everywhere.
TLP_AMBER = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
MAX_NOTES = 500
StixObject = dict[str, object]
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)")
_CONFIDENCE = {"low": 15, "medium": 50, "high": 85}
# STIX 2.1, section 10.17: the vocabulary of opinions. A person agrees with a finding or does not; "benign" agrees with what was seen.
_OPINION = {Verdict.TRUE: "agree", Verdict.FALSE: "disagree", Verdict.BENIGN: "agree"}
_WORDS = {"low": "low", "medium": "medium", "high": "high", "critical": "critical", "info": "informational"}


def render(view: CaseView) -> str:
    """The bundle as JSON, ASCII only."""
    objects = list(_objects(view))
    bundle = {"type": "bundle", "id": f"bundle--{_own('bundle', canonical(objects).decode())}", "objects": objects}
    return json.dumps(bundle, ensure_ascii=True, sort_keys=True, indent=1) + "\n"


def _objects(view: CaseView) -> Iterator[StixObject]:
    made_by = _author(view)
    author = _id(made_by)
    yield made_by
    rows = [(r, f) for r in view.results for f in r.findings if f.severity is not ResultSeverity.INFO][:MAX_NOTES]
    observed: dict[str, StixObject] = {}
    for address in _addresses_of_target(view):
        observed.setdefault(_id(address), address)
    parts: dict[str, StixObject] = {}
    judged = verdicts(view)
    for result, finding in rows:
        seen = list(_observables(finding))
        observed |= {_id(item): item for item in seen}
        about = [_id(item) for item in seen]
        if finding.technique:
            pattern = _technique(view, finding.technique, author=author)
            parts[_id(pattern)] = pattern
            about.append(_id(pattern))
        note = _note(view, result, finding, author=author, about=about or [author])
        parts[_id(note)] = note
        if remark := judged.get(finding_key(result, finding)):
            opinion = _opinion(view, remark, about=_id(note), author=author)
            parts[_id(opinion)] = opinion
    everything = [*observed.values(), *parts.values()]
    yield from everything
    yield _report(view, author=author, refs=[_id(o) for o in everything] or [author])


def _id(item: StixObject) -> str:
    return str(item["id"])


def _own(kind: str, *names: str) -> uuid.UUID:
    return uuid.uuid5(OWN_NAMESPACE, "\x1f".join((kind, *names)).encode("utf-8", "backslashreplace").decode())


def _domain_object(kind: str, *names: str, at: datetime, author: str | None = None, **fields: object) -> StixObject:
    moment = _time(at)
    made = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{_own(kind, *names)}",
        "created": moment,
        "modified": moment,
        "object_marking_refs": [TLP_AMBER],
        **fields,
    }
    return made | ({"created_by_ref": author} if author else {})


def _author(view: CaseView) -> StixObject:
    return _domain_object(
        "identity",
        "ec2-forensics",
        at=view.case.opened_at,
        name="EC2 forensics on Airflow",
        identity_class="system",
    )


def _technique(view: CaseView, technique: str, *, author: str) -> StixObject:
    known = TECHNIQUES.get(technique)
    reference = {
        "source_name": "mitre-attack",
        "external_id": technique,
        "url": f"https://attack.mitre.org/techniques/{technique.replace('.', '/')}/",
    }
    return _domain_object(
        "attack-pattern",
        technique,
        at=view.case.opened_at,
        author=author,
        name=known.name if known else technique,
        external_references=[reference],
    )


def _note(view: CaseView, result: ToolResults, finding: ToolFinding, *, author: str, about: list[str]) -> StixObject:
    lines = [
        _text(finding.title, 500),
        _text(finding.detail, 4000),
        f"Severity {finding.severity.value}, confidence {finding.confidence.value}.",
        f"Artifact: {_text(finding.source, 1000) or 'not recorded'}, in evidence {_text(result.evidence_id, 100)}.",
        f"Time in the evidence: {_time(finding.time) if finding.time else 'not recorded'}.",
    ]
    return _domain_object(
        "note",
        view.case.case_id,
        result.evidence_id,
        finding.id,
        at=result.ended,
        author=author,
        abstract=_text(finding.title, 200),
        content="\n".join(line for line in lines if line),
        confidence=_CONFIDENCE[finding.confidence.value],
        labels=[_WORDS[finding.severity.value]],
        object_refs=list(dict.fromkeys(about)),
    )


def _opinion(view: CaseView, remark: Remark, *, about: str, author: str) -> StixObject:
    """What a person holds a finding for."""
    verdict = remark.verdict or Verdict.OPEN
    note = f" {_text(remark.note, 2000)}" if remark.note else ""
    return _domain_object(
        "opinion",
        view.case.case_id,
        remark.finding,
        str(remark.seq),
        at=remark.at,
        author=author,
        opinion=_OPINION.get(verdict, "neutral"),
        explanation=f"A person's verdict: {VERDICT_WORDS[verdict]}.{note}",
        authors=[_text(remark.by, 200)],
        labels=[f"verdict-{verdict.value}"],
        object_refs=[about],
    )


def _report(view: CaseView, *, author: str, refs: list[str]) -> StixObject:
    case = view.case
    return _domain_object(
        "report",
        case.case_id,
        at=case.opened_at,
        author=author,
        name=f"{case.case_id}: {_text(case.title, 300)}",
        description=(
            f"{case.subject.capitalize()} in account {case.account_id}, Region {case.region}. Severity {case.severity}, "
            f"status {case.status.value}. A record of what tools found in the evidence, not an attribution."
        ),
        report_types=["observed-data"],
        published=_time(view.generated_at),
        external_references=[{"source_name": "ec2-forensics", "external_id": case.case_id}],
        object_refs=refs,
    ) | {"modified": _time(max(view.generated_at, case.opened_at))}


def _addresses_of_target(view: CaseView) -> Iterator[StixObject]:
    for interface in view.target.interfaces if view.target else ():
        for address in (interface.private_ip, interface.public_ip):
            if address:
                yield _observable("ipv4-addr", {"value": address})


def _observables(finding: ToolFinding) -> Iterator[StixObject]:
    """Files and addresses that the finding's own data name."""
    texts = list(_values(finding.data))
    yield from (_observable("ipv4-addr", {"value": t}) for t in texts if _IPV4.fullmatch(t))
    hashes = [t for t in texts if _SHA256.fullmatch(t)]
    name = finding.source.rsplit("/", 1)[-1] if finding.source.startswith("/") else ""
    for digest in hashes[:10]:
        yield _observable("file", {"hashes": {"SHA-256": digest}, **({"name": _text(name, 255)} if name else {})})
    if name and not hashes:
        yield _observable("file", {"name": _text(name, 255)})


def _values(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(item)
    elif isinstance(value, str):
        yield value


def _observable(kind: str, values: StixObject) -> StixObject:
    """An SCO; its id follows from the properties that STIX names as contributing."""
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid5(SCO_NAMESPACE, canonical(values).decode())}",
        "object_marking_refs": [TLP_AMBER],
        **values,
    }


def _text(text: str, limit: int) -> str:
    return visible(cut(text, limit))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
