"""Run the tools on the forensic instance by SSM documents and take their artifacts over (seed steps 10 to 12)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import ValidationError

from forensics.aws.desk import CaseDesk
from forensics.domain.documents import Document, select
from forensics.domain.manifest import MIB, render
from forensics.domain.naming import TAG_CASE, TAG_EVIDENCE, artifact_key
from forensics.errors import DigestMismatchError, ForensicsError, InvestigationError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import Investigation, ToolResults
from forensics.operators.base import ForensicOperator, Json
from forensics.operators.custody import rehash
from forensics.operators.investigation import acquired, running_instance
from forensics.triggers.aws import SsmCommandsCompletedTrigger

OUTPUTS = {"results": 64 * MIB, "timeline": 4096 * MIB, "raw": 8192 * MIB}


class _AnalyseOperator(ForensicOperator):
    """Every registered document for one kind of evidence on every acquired item, each by one pinned command.

    Which documents those are, the registry says (``ssm_documents/registry.yaml``): by the target's platform and by the
    case's finding types.
    """

    kind: ClassVar[EvidenceKind]

    def _inputs(self, desk: CaseDesk, item: str) -> tuple[dict[str, tuple[str | None, str]], dict[str, str]]:
        """What the host may fetch, and further document parameters."""
        raise NotImplementedError

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Send one command for each item and document, and wait for all of them."""
        items = acquired(desk, self.kind)
        if not items:
            raise AirflowSkipException(f"no {self.kind.value} evidence was acquired")
        todo = [(item, d) for item in items for d in self._documents(desk) if not self._done(desk, item, d)]
        if not todo:
            return {"already": True}
        instance_id = running_instance(self.hook, desk)
        for evidence in map(desk.evidence_item, items):
            if evidence and evidence.kind is EvidenceKind.MEMORY:
                rehash(self.hook, desk, evidence)
        commands = [[self._send(desk, item, document, instance_id), instance_id] for item, document in todo]
        scope = self.hook.forensic_scope(desk.case_id).as_dict()
        seconds = self.hook.settings.investigation_timeout_seconds + 180
        self.wait(SsmCommandsCompletedTrigger(scope=scope, commands=commands, **self.timing(seconds)))
        return None

    def _documents(self, desk: CaseDesk) -> list[Document]:
        """The documents that the registry selects for this case; none at all is an error, not a success."""
        target = desk.target()
        platform = target.platform if target else "linux"
        os = f"{target.ssm.platform_name or ''} {target.ssm.platform_version or ''}".strip() if target else ""
        types = [name for finding in desk.findings() for name in finding.types]
        found = select(self.kind, platform=platform, os=os, finding_types=types)
        if not found:
            msg = f"no registered document investigates {self.kind.value} of {platform} {os}".rstrip()
            raise InvestigationError(msg, next_action="add one to ssm_documents/registry.yaml (docs/adding-a-tool.md)")
        return found

    def _done(self, desk: CaseDesk, item: str, document: Document) -> bool:
        found = desk.gw.store.get(desk.case_id, _sk(document.activity, item), Investigation)
        return found is not None and found.outcome in {Outcome.DONE.value, Outcome.PARTIAL.value}

    def _send(self, desk: CaseDesk, item: str, document: Document, instance_id: str) -> str:
        account = self.hook.account(self.hook.forensic_scope(desk.case_id))
        activity, seconds = document.activity, self.hook.settings.investigation_timeout_seconds
        comment = f"{desk.case_id} {activity} {item}"
        running = account.ssm.find_command(instance_id=instance_id, comment=comment)
        known = desk.gw.store.get(desk.case_id, _sk(activity, item), Investigation)
        if running and known and known.command_id == running:
            return running
        prefix = f"{desk.case_id}/{item}/{activity}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        gets, parameters = self._inputs(desk, item)
        # The results are uploaded when the tools have ended: their URLs have to outlive the command.
        puts = {name: desk.gw.landing.put_url(f"{prefix}/{name}", seconds=seconds + 900) for name in OUTPUTS}
        version = account.ssm.document_version(document.name)
        url = desk.gw.landing.publish(f"{prefix}/manifest.txt", text=render(gets=gets, puts=puts))
        limit = {"ExecutionTimeout": str(seconds)} if document.takes_limit else {}
        started = datetime.now(UTC)
        command_id = account.ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=instance_id,
            parameters={"CaseId": desk.case_id, "EvidenceId": item, "ManifestUrl": url, **limit, **parameters},
            comment=comment,
            timeout_seconds=seconds,
            # More documents than the agent has workers wait for their turn.
            delivery_seconds=seconds,
        )
        desk.gw.store.put(
            desk.case_id,
            _sk(activity, item),
            Investigation(
                activity=activity,
                tool=document.tool,
                evidence_id=item,
                outcome=Outcome.PENDING.value,
                command_id=command_id,
                instance_id=instance_id,
                document=_pinned(document, version, prefix),
                started_at=started,
            ),
        )
        detail = {
            "activity": activity,
            "command_id": command_id,
            "instance_id": instance_id,
            "document_sha256": document.sha256,
        }
        desk.custody(CustodyAction.EVIDENCE_ACCESSED, evidence_id=item, detail=detail)
        desk.note(f"{activity} of {item} started", kind=TimelineKind.INVESTIGATION, evidence_id=item)
        return command_id

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """Take over the artifacts of every command; one that failed does not hide the others' results."""
        done: dict[str, int] = {}
        failed = []
        for item in self._pending(desk):
            what = f"{item.activity} of {item.evidence_id}"
            try:
                done[what] = self._take_over(desk, item)
            except ForensicsError as error:
                failed.append(f"{what}: {error}")
                update = {"outcome": Outcome.FAILED.value, "reason": str(error)[:1500], "ended_at": datetime.now(UTC)}
                desk.gw.store.put(desk.case_id, _sk(item.activity, item.evidence_id), item.model_copy(update=update))
        if failed:
            raise InvestigationError(
                f"investigation failed: {'; '.join(failed)}",
                next_action="look at the command's output in SSM and the forensic AMI's tools; clear the investigation tasks to run it again",
            )
        desk.announce(
            f"investigated:{self.kind.value}",
            f"Investigation of {self.kind.value} done: {sum(done.values())} findings",
            lines=[f"{what}: {count} findings" for what, count in done.items()],
            facts={"findings": done},
            once=False,
        )
        return done

    def _pending(self, desk: CaseDesk) -> list[Investigation]:
        mine = {evidence.evidence_id for evidence in desk.evidence(self.kind)}
        found = [Investigation.model_validate(d) for _, d in desk.gw.store.items(desk.case_id, "RESULT#")]
        ended = {Outcome.DONE.value, Outcome.PARTIAL.value}
        return [i for i in found if i.evidence_id in mine and i.outcome not in ended and i.command_id and i.instance_id]

    def _take_over(self, desk: CaseDesk, item: Investigation) -> int:
        ssm = self.hook.account(self.hook.forensic_scope(desk.case_id)).ssm
        found = ssm.invocation(command_id=str(item.command_id), instance_id=str(item.instance_id))
        if found is None or found.status != "Success":
            raise InvestigationError(found.cause() if found else f"command {item.command_id} has vanished from SSM")
        said = found.status_line()
        if said.get("status") not in {"ok", "partial"}:
            msg = f"command {item.command_id} succeeded without a valid status line: {found.stdout[-300:]!r}"
            raise InvestigationError(msg)
        artifacts = self._artifacts(desk, item, said.get("artifacts") or {})
        results = self._results(desk, item, artifacts)
        outcome = Outcome.PARTIAL if said["status"] == "partial" else Outcome.DONE
        desk.gw.store.put(
            desk.case_id,
            _sk(item.activity, item.evidence_id),
            item.model_copy(
                update={
                    "outcome": outcome.value,
                    "reason": str(said.get("reason") or "")[:1000] or None,
                    "artifacts": artifacts,
                    "ended_at": datetime.now(UTC),
                    "findings": len(results.findings),
                    "gaps": len(results.gaps),
                }
            ),
        )
        desk.note(
            f"{item.activity} of {item.evidence_id}: {len(results.findings)} findings, {len(results.gaps)} gaps",
            kind=TimelineKind.INVESTIGATION,
            evidence_id=item.evidence_id,
        )
        return len(results.findings)

    def _artifacts(self, desk: CaseDesk, item: Investigation, claims: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Move what landed into the evidence store, re-hashed here and compared with what the tool said."""
        kept = {}
        prefix = item.document["landing_prefix"]
        for name, limit in OUTPUTS.items():
            size = desk.gw.landing.size(f"{prefix}/{name}")
            if not size:
                msg = f"artifact {name} of {item.evidence_id} did not arrive or is empty"
                raise InvestigationError(msg)
            if size > limit:
                msg = f"artifact {name} of {item.evidence_id} has {size} bytes; {limit} are allowed"
                raise InvestigationError(msg)
            run = prefix.rsplit("-", 1)[1]
            key = artifact_key(
                desk.case_id, tool=item.tool or item.activity, item=item.evidence_id, name=f"{run}/{_FILES[name]}"
            )
            stored = desk.gw.evidence.put_stream(key, desk.gw.landing.stream(f"{prefix}/{name}"))
            said = (claims.get(name) or {}).get("sha256")
            if said != stored.sha256:
                msg = f"artifact {name} of {item.evidence_id}: stored SHA-256 {stored.sha256}, the tool said {said}"
                raise DigestMismatchError(msg)
            kept[name] = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes}
            desk.custody(
                CustodyAction.ARTIFACT_STORED,
                evidence_id=item.evidence_id,
                detail={"name": name, **kept[name]},
                once=f"artifact-{stored.key}",
            )
        return kept

    def _results(self, desk: CaseDesk, item: Investigation, artifacts: dict[str, dict[str, Any]]) -> ToolResults:
        key = str(artifacts["results"]["uri"]).removeprefix(f"s3://{desk.gw.evidence.bucket}/")
        body = b"".join(desk.gw.evidence.stream(key))
        if hashlib.sha256(body).hexdigest() != artifacts["results"]["sha256"]:
            msg = f"results of {item.evidence_id} changed between writing and reading"
            raise DigestMismatchError(msg)
        try:
            results = ToolResults.model_validate(json.loads(body))
        except (ValueError, ValidationError) as error:
            msg = f"results of {item.evidence_id} are not valid: {str(error)[:500]}"
            raise InvestigationError(msg) from error
        if (results.case_id, results.evidence_id) != (desk.case_id, item.evidence_id):
            msg = f"results name case {results.case_id}, evidence {results.evidence_id}; expected {desk.case_id}, {item.evidence_id}"
            raise InvestigationError(msg)
        return results

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The command never ended."""
        return InvestigationError(cause, next_action=next_action or None)


def _sk(activity: str, item: str) -> str:
    return f"RESULT#{activity}#{item}"


_FILES = {"results": "results.json", "timeline": "timeline.jsonl", "raw": "raw.tar.gz"}


def _pinned(document: Document, version: str, prefix: str) -> dict[str, str]:
    return {"name": document.name, "version": version, "sha256": document.sha256, "landing_prefix": prefix}


class AnalyseMemoryOperator(_AnalyseOperator):
    """Every registered memory tool; Volatility on the memory image, with a symbol table built from the target's own kernel facts."""

    kind = EvidenceKind.MEMORY

    def _inputs(self, desk: CaseDesk, item: str) -> tuple[dict[str, tuple[str | None, str]], dict[str, str]]:
        evidence = desk.evidence_item(item)
        if evidence is None or not evidence.uri:
            msg = f"evidence {item} has no stored object"
            raise InvestigationError(msg)
        store = desk.gw.evidence
        gets: dict[str, tuple[str | None, str]] = {
            "memory": (
                evidence.digests[-1].value,
                store.get_url(evidence.uri.removeprefix(f"s3://{store.bucket}/")),
            )
        }
        for name, fact in (evidence.origin.get("kernel_facts") or {}).items():
            gets[name] = (fact["sha256"], store.get_url(fact["key"]))
        return gets, {}


class AnalyseDiskOperator(_AnalyseOperator):
    """File-system timeline, log and persistence analysis on every evidence volume."""

    kind = EvidenceKind.DISK

    def _inputs(self, desk: CaseDesk, item: str) -> tuple[dict[str, tuple[str | None, str]], dict[str, str]]:
        ebs = self.hook.account(self.hook.forensic_scope(desk.case_id)).ebs
        found = [
            v for v in ebs.find_volumes(tags={TAG_CASE: desk.case_id, TAG_EVIDENCE: item}) if v["State"] == "in-use"
        ]
        if not found:
            msg = f"no volume of {item} is attached to the forensic instance"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        instance_id = running_instance(self.hook, desk)
        mine = [v for v in found if any(a["InstanceId"] == instance_id for a in v.get("Attachments", []))]
        if not mine:
            msg = f"the volume of {item} is attached to another instance than {instance_id}"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        return {}, {"VolumeId": str(mine[0]["VolumeId"])}
