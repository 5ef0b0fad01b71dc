"""Run the tools on the forensic instance by SSM documents and take their artifacts over (seed steps 10 to 12)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import ValidationError

from forensics.aws.desk import CaseDesk
from forensics.aws.ssm import Invocation
from forensics.domain.documents import Document, choose
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
    """One activity on every acquired item of one kind of evidence, each by one pinned command."""

    activity: ClassVar[str]
    kind: ClassVar[EvidenceKind]
    tool: ClassVar[str]

    def _inputs(self, desk: CaseDesk, item: str) -> tuple[dict[str, tuple[str | None, str]], dict[str, str]]:
        """What the host may fetch, and further document parameters."""
        raise NotImplementedError

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Send one command for each item and wait for all of them."""
        items = [i for i in acquired(desk, self.kind) if not self._done(desk, i)]
        if not items:
            if acquired(desk, self.kind):
                return {"already": True}
            raise AirflowSkipException(f"no {self.kind.value} evidence was acquired")
        instance_id = running_instance(self.hook, desk)
        for evidence in map(desk.evidence_item, items):
            if evidence and evidence.kind is EvidenceKind.MEMORY:
                rehash(self.hook, desk, evidence)
        commands = [[self._send(desk, item, instance_id), instance_id] for item in items]
        scope = self.hook.forensic_scope(desk.case_id).as_dict()
        seconds = self.hook.settings.investigation_timeout_seconds + 180
        self.wait(SsmCommandsCompletedTrigger(scope=scope, commands=commands, **self.timing(seconds)))
        return None

    def _sk(self, item: str) -> str:
        return f"RESULT#{self.activity}#{item}"

    def _done(self, desk: CaseDesk, item: str) -> bool:
        found = desk.gw.store.get(desk.case_id, self._sk(item), Investigation)
        return found is not None and found.outcome in {Outcome.DONE.value, Outcome.PARTIAL.value}

    def _send(self, desk: CaseDesk, item: str, instance_id: str) -> str:
        account = self.hook.account(self.hook.forensic_scope(desk.case_id))
        comment = f"{desk.case_id} {self.activity} {item}"
        running = account.ssm.find_command(instance_id=instance_id, comment=comment)
        known = desk.gw.store.get(desk.case_id, self._sk(item), Investigation)
        if running and known and known.command_id == running:
            return running
        prefix = f"{desk.case_id}/{item}/{self.activity}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        gets, parameters = self._inputs(desk, item)
        manifest = render(gets=gets, puts={name: desk.gw.landing.put_url(f"{prefix}/{name}") for name in OUTPUTS})
        document = choose(self.activity, platform="linux")
        version = account.ssm.document_version(document.name)
        url = desk.gw.landing.publish(f"{prefix}/manifest.txt", text=manifest)
        started = datetime.now(UTC)
        command_id = account.ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=instance_id,
            parameters={"CaseId": desk.case_id, "EvidenceId": item, "ManifestUrl": url, **parameters},
            comment=comment,
            timeout_seconds=self.hook.settings.investigation_timeout_seconds,
        )
        desk.gw.store.put(
            desk.case_id,
            self._sk(item),
            Investigation(
                activity=self.activity,
                evidence_id=item,
                outcome=Outcome.PENDING.value,
                command_id=command_id,
                instance_id=instance_id,
                document=_pinned(document, version, prefix),
                started_at=started,
            ),
        )
        desk.custody(
            CustodyAction.EVIDENCE_ACCESSED,
            evidence_id=item,
            detail={
                "activity": self.activity,
                "command_id": command_id,
                "instance_id": instance_id,
                "document_sha256": document.sha256,
            },
        )
        desk.note(f"{self.activity} of {item} started", kind=TimelineKind.INVESTIGATION, evidence_id=item)
        return command_id

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """Take over the artifacts of every command; one that failed does not hide the others' results."""
        ssm = self.hook.account(self.hook.forensic_scope(desk.case_id)).ssm
        done, failed = {}, []
        pending = [
            Investigation.model_validate(d) for _, d in desk.gw.store.items(desk.case_id, f"RESULT#{self.activity}#")
        ]
        for item in pending:
            if (
                item.outcome in {Outcome.DONE.value, Outcome.PARTIAL.value}
                or not item.command_id
                or not item.instance_id
            ):
                continue
            try:
                done[item.evidence_id] = self._take_over(
                    desk, item, ssm.invocation(command_id=item.command_id, instance_id=item.instance_id)
                )
            except ForensicsError as error:
                reason = str(error)
                failed.append(f"{item.evidence_id}: {reason}")
                update = {
                    "outcome": Outcome.FAILED.value,
                    "reason": reason[:1500],
                    "ended_at": datetime.now(UTC),
                }
                desk.gw.store.put(desk.case_id, self._sk(item.evidence_id), item.model_copy(update=update))
        if failed:
            raise InvestigationError(
                f"{self.activity} failed for {'; '.join(failed)}",
                next_action="look at the command's output in SSM and the forensic AMI's tools; clear the investigation tasks to run it again",
            )
        desk.announce(
            f"investigated:{self.kind.value}",
            f"Investigation of {self.kind.value} done: {sum(done.values())} findings",
            lines=[f"{item}: {count} findings" for item, count in done.items()],
            facts={"findings": done},
            once=False,
        )
        return done

    def _take_over(self, desk: CaseDesk, item: Investigation, found: Invocation | None) -> int:
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
            self._sk(item.evidence_id),
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
            f"{self.activity} of {item.evidence_id}: {len(results.findings)} findings, {len(results.gaps)} gaps",
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
            key = artifact_key(desk.case_id, tool=self.tool, item=item.evidence_id, name=f"{run}/{_FILES[name]}")
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


_FILES = {"results": "results.json", "timeline": "timeline.jsonl", "raw": "raw.tar.gz"}


def _pinned(document: Document, version: str, prefix: str) -> dict[str, str]:
    return {"name": document.name, "version": version, "sha256": document.sha256, "landing_prefix": prefix}


class AnalyseMemoryOperator(_AnalyseOperator):
    """Volatility on the memory image, with a symbol table built from the target's own kernel facts."""

    activity = "investigate_memory"
    kind = EvidenceKind.MEMORY
    tool = "memory"

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

    activity = "investigate_disk"
    kind = EvidenceKind.DISK
    tool = "disk"

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
