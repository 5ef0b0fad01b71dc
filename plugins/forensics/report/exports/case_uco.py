"""The case in CASE/UCO 1.x JSON-LD for other tools: evidence with provenance, and every custody event as an action.

Conforms to what ``case_validate`` checks (CASE 1.5.0). ``hashMethod`` is a plain string: the vocabulary's datatype does not
conform since UCO 1.4.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from forensics import __version__
from forensics.models.base import format_utc
from forensics.models.case import CaseView
from forensics.models.custody import CustodyEvent
from forensics.models.evidence import Digest, Evidence

_UCO = "https://ontology.unifiedcyberontology.org/uco"
CONTEXT = {
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "kb": "http://example.org/kb/",
    "uco-action": f"{_UCO}/action/",
    "uco-core": f"{_UCO}/core/",
    "uco-identity": f"{_UCO}/identity/",
    "uco-observable": f"{_UCO}/observable/",
    "uco-tool": f"{_UCO}/tool/",
    "uco-types": f"{_UCO}/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_SPACE = uuid.UUID("6f2a1d5e-0f7a-4f77-9b0f-2b8c3d1f1a10")
Node = dict[str, object]


def render_case_uco(view: CaseView) -> str:
    """The case as JSON-LD; the same case gives the same text."""
    graph = _Graph(view)
    return json.dumps({"@context": CONTEXT, "@graph": list(graph.nodes())}, indent=1, ensure_ascii=False)


class _Graph:
    """Makes the nodes of one case; ids are UUIDs that follow from the case."""

    def __init__(self, view: CaseView) -> None:
        self._view = view
        self._case_id = view.case.case_id

    def _id(self, kind: str, *of: str) -> str:
        return f"kb:{kind}-{uuid.uuid5(_SPACE, '|'.join((self._case_id, kind, *of)))}"

    def _ref(self, kind: str, *of: str) -> Node:
        return {"@id": self._id(kind, *of)}

    def nodes(self) -> Iterator[Node]:
        """Investigation, who, with what, evidence, actions."""
        case = self._view.case
        known = {e.evidence_id for e in self._view.evidence}
        yield {
            "@id": self._id("investigation"),
            "@type": "case-investigation:Investigation",
            "uco-core:name": case.case_id,
            "uco-core:description": f"{case.title}: {case.subject} in account {case.account_id}, {case.region}",
            "uco-core:object": [self._ref("provenance", item) for item in sorted(known)]
            + [self._ref("action", str(e.seq)) for e in self._view.custody],
        }
        for name in sorted({e.actor for e in self._view.custody}):
            yield {"@id": self._id("identity", name), "@type": "uco-identity:Identity", "uco-core:name": name}
        for tool in sorted({_tool(e) for e in self._view.custody}):
            yield {
                "@id": self._id("tool", *tool),
                "@type": "uco-tool:Tool",
                "uco-core:name": tool[0],
                "uco-tool:version": tool[1],
            }
        for evidence in self._view.evidence:
            yield from self._evidence(evidence)
        for event in self._view.custody:
            yield self._action(event, known)

    def _evidence(self, evidence: Evidence) -> Iterator[Node]:
        item = evidence.evidence_id
        content: Node = {"@id": self._id("content", item), "@type": "uco-observable:ContentDataFacet"}
        if evidence.size_bytes is not None:
            content["uco-observable:sizeInBytes"] = evidence.size_bytes
        digests = {d.value: d for d in evidence.digests if d.algorithm == "sha256"}
        if digests:
            content["uco-observable:hash"] = [self._hash(item, d) for d in digests.values()]
        yield {
            "@id": self._id("object", item),
            "@type": "uco-observable:File",
            "uco-core:name": item,
            "uco-core:description": evidence.uri or "not acquired",
            "uco-core:hasFacet": [content],
        }
        reason = f": {evidence.reason}" if evidence.reason else ""
        yield {
            "@id": self._id("provenance", item),
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": f"{evidence.kind.value}, {evidence.outcome.value}{reason}",
            "case-investigation:exhibitNumber": f"{self._case_id}/{item}",
            "uco-core:object": [self._ref("object", item)],
        }

    def _hash(self, item: str, digest: Digest) -> Node:
        return {
            "@id": self._id("hash", item, digest.value),
            "@type": "uco-types:Hash",
            "uco-types:hashMethod": "SHA256",
            "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": digest.value},
        }

    def _action(self, event: CustodyEvent, known: set[str]) -> Node:
        at = {"@type": "xsd:dateTime", "@value": format_utc(event.at)}
        said = json.dumps(event.detail, sort_keys=True, ensure_ascii=False)
        node: Node = {
            "@id": self._id("action", str(event.seq)),
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": event.action.value,
            "uco-core:description": f"custody event {event.seq}, SHA-256 {event.digest}: {said}",
            "uco-action:startTime": at,
            "uco-action:endTime": at,
            "uco-action:performer": self._ref("identity", event.actor),
            "uco-action:instrument": [self._ref("tool", *_tool(event))],
        }
        if event.seq > 1:
            node["case-investigation:wasInformedBy"] = [self._ref("action", str(event.seq - 1))]
        if event.evidence_id in known:
            named = event.evidence_id or ""
            node["uco-action:object"] = [self._ref("object", named)]
            node["uco-action:result"] = [self._ref("provenance", named)]
        return node


def _tool(event: CustodyEvent) -> tuple[str, str]:
    tool = event.facts.tool if event.facts else {}
    return tool.get("name") or "ec2-forensics", tool.get("version") or __version__
