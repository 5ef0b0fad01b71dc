"""Run the documents that the registry selects on the forensic instance and take their artifacts over (seed steps 10 to 12)."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.aws.ebs import EbsGateway
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.rehash import rehash
from forensics.case.step import ForensicOperator, Json
from forensics.custody.signed_documents import SignatureError
from forensics.document_registry import Selection, select
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.artifacts import EXPECTED, result_key, take_over, withdraw
from forensics.investigation.instance_operators import acquired, running_instance
from forensics.investigation.symbol_store import SymbolStore
from forensics.manifest import MANIFEST, render
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.documents import Document
from forensics.models.evidence import EvidenceKind, MemoryEvidence, Outcome
from forensics.models.results import Investigation
from forensics.models.symbols import SymbolTable
from forensics.naming import TAG_CASE, TAG_EVIDENCE

Gets = dict[str, tuple[str | None, str]]
# The toolkit's words in the reason of an analysis that had no table (ami/toolkit, memory.py).
WITHOUT_SYMBOLS = "no symbol table"
_ENDED_WELL = frozenset({Outcome.DONE.value, Outcome.PARTIAL.value})


class _AnalyseOperator(ForensicOperator):
    """Every selected document on every acquired item of one kind of evidence, each by one pinned command."""

    kind: ClassVar[EvidenceKind]

    @abstractmethod
    def _inputs(self, recorder: CaseRecorder, item: str) -> tuple[Gets, dict[str, str]]:
        """What the host may fetch, and further document parameters."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send one command for each document and item, and wait for all of them."""
        items = acquired(recorder, self.kind)
        if not items:
            raise AirflowSkipException(f"no {self.kind.value} evidence was acquired")
        selection = self._select(recorder)
        jobs = [(d, i) for d in selection.chosen for i in items if not self._done(recorder, d.activity, i)]
        if not jobs:
            return {"already": True}
        self._tell(recorder, selection)
        instance_id = running_instance(recorder, self.sessions.forensic())
        archive = EvidenceArchive.of(self.sessions.forensic("custodian"), self.settings)
        for evidence in map(recorder.evidence_item, items):
            if evidence and evidence.kind is EvidenceKind.MEMORY:
                rehash(archive, recorder, evidence)
        commands = [[self._send(recorder, document, item, instance_id), instance_id] for document, item in jobs]
        scope = self.sessions.forensic_scope().as_dict()
        seconds = self.settings.investigation_timeout_seconds + 180
        self.wait(SsmCommandsCompletedTrigger(scope=scope, commands=commands, **self.timing(seconds)))
        return None

    def _select(self, recorder: CaseRecorder) -> Selection:
        target = recorder.target()
        return select(
            self.kind,
            platform=target.platform if target else "linux",
            os=f"{target.ssm.platform_name or ''} {target.ssm.platform_version or ''}".strip() if target else "",
            finding_types=[t for finding in recorder.findings() for t in finding.types],
        )

    def _tell(self, recorder: CaseRecorder, selection: Selection) -> None:
        names = ", ".join(d.name for d in selection.chosen)
        rest = f" (not: {'; '.join(selection.left_out)})" if selection.left_out else ""
        recorder.note(f"documents for {self.kind.value}: {names}{rest}", kind=TimelineKind.INVESTIGATION)

    def _done(self, recorder: CaseRecorder, activity: str, item: str) -> bool:
        found = recorder.get(result_key(activity, item), Investigation)
        return found is not None and found.outcome in _ENDED_WELL and not self._again(recorder, item, found)

    def _again(self, recorder: CaseRecorder, item: str, found: Investigation) -> bool:
        """Whether an analysis that ended well is worth another run now."""
        return False

    def _send(self, recorder: CaseRecorder, document: Document, item: str, instance_id: str) -> str:
        account = self.sessions.forensic()
        comment = f"{recorder.case_id} {document.activity} {item}"
        running = SsmGateway.of(account).find_command(instance_id=instance_id, comment=comment)
        known = recorder.get(result_key(document.activity, item), Investigation)
        if known and known.outcome == Outcome.PENDING.value and known.instance_id == instance_id:
            if known.command_id:
                return known.command_id  # an earlier try's: running, or ended and not yet looked at
            if running:
                # A process was lost between sending the command and writing its id down.
                self._record(recorder, known.model_copy(update={"command_id": running}))
                return running
        if known:
            withdraw(recorder, known)
        prefix = f"{recorder.case_id}/{item}/{document.activity}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        gets, parameters = self._inputs(recorder, item)
        version = SsmGateway.of(account).document_version(document.name)
        record = Investigation(
            activity=document.activity,
            tool=document.tool,
            evidence_id=item,
            outcome=Outcome.PENDING.value,
            output=document.output,
            instance_id=instance_id,
            document=_pinned(document, version, prefix),
            started_at=datetime.now(UTC),
        )
        # Written down first: whatever becomes of this process, the manifest's place is known and it is withdrawn.
        recorder.put(result_key(record.activity, item), record)
        seconds = self.settings.investigation_timeout_seconds
        limit = {"ExecutionTimeout": str(seconds)} if document.takes_limit else {}
        url = self._publish(recorder, document, prefix=prefix, gets=gets)
        command_id = SsmGateway.of(account).send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=instance_id,
            parameters={"CaseId": recorder.case_id, "EvidenceId": item, "ManifestUrl": url, **limit, **parameters},
            comment=comment,
            timeout_seconds=seconds,
            # More documents than the agent has workers wait for their turn.
            delivery_seconds=seconds,
        )
        self._record(recorder, record.model_copy(update={"command_id": command_id}))
        return command_id

    def _publish(self, recorder: CaseRecorder, document: Document, *, prefix: str, gets: Gets) -> str:
        offers = {name: (o.sha256, recorder.gateways.tools.get_url(o.key)) for name, o in document.offers.items()}
        # The results are uploaded when the tools have ended: their URLs have to outlive the command.
        seconds = self.settings.investigation_timeout_seconds + 900
        names = EXPECTED[document.output]
        puts = {name: recorder.gateways.landing.put_url(f"{prefix}/{name}", seconds=seconds) for name in names}
        return recorder.gateways.landing.publish(
            f"{prefix}/{MANIFEST}", text=render(gets={**gets, **offers}, puts=puts)
        )

    def _record(self, recorder: CaseRecorder, record: Investigation) -> None:
        recorder.put(result_key(record.activity, record.evidence_id), record)
        recorder.custody(
            CustodyAction.EVIDENCE_ACCESSED,
            evidence_id=record.evidence_id,
            detail={
                "activity": record.activity,
                "command_id": record.command_id,
                "instance_id": record.instance_id,
                "document_sha256": record.document["sha256"],
            },
        )
        what = f"{record.activity} of {record.evidence_id} started"
        recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=record.evidence_id)

    def resume(self, recorder: CaseRecorder, payload: dict[str, Any], context: Context) -> Json:
        """Take over the artifacts of every command; one that failed does not hide the others' results."""
        ssm = SsmGateway.of(self.sessions.forensic())
        done: dict[str, int] = {}
        failed = []
        for item in self._pending(recorder):
            name = f"{item.activity} of {item.evidence_id}"
            try:
                found = ssm.invocation(command_id=str(item.command_id), instance_id=str(item.instance_id))
                done[name] = take_over(recorder, item, found)
            except ForensicsError as error:
                failed.append(f"{name}: {error}")
                update = {"outcome": Outcome.FAILED.value, "reason": str(error)[:1500], "ended_at": datetime.now(UTC)}
                recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=update))
        if failed:
            raise InvestigationError(
                f"investigation failed: {'; '.join(failed)}",
                next_action="look at the command's output in SSM and the forensic AMI's tools; clear the investigation tasks to run it again",
            )
        recorder.announce(
            f"investigated:{self.kind.value}",
            f"Investigation of {self.kind.value} done: {sum(done.values())} findings",
            lines=[f"{name}: {count} findings" for name, count in done.items()],
            facts={"findings": done},
            once=False,
        )
        return done

    def _pending(self, recorder: CaseRecorder) -> list[Investigation]:
        mine = set(acquired(recorder, self.kind))
        found = [
            Investigation.model_validate(d)
            for _, d in recorder.gateways.store.items(recorder.case_id, case_keys.RESULT)
        ]
        return [i for i in found if i.evidence_id in mine and i.outcome == Outcome.PENDING.value and i.command_id]

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """The command never ended."""
        return InvestigationError(cause, next_action=next_action or None)


def _pinned(document: Document, version: str, prefix: str) -> dict[str, str]:
    return {"name": document.name, "version": version, "sha256": document.sha256, "landing_prefix": prefix}


class AnalyseMemoryOperator(_AnalyseOperator):
    """Volatility, and what the registry has besides, on the memory image; kernel facts of the target go with it."""

    kind = EvidenceKind.MEMORY

    def _inputs(self, recorder: CaseRecorder, item: str) -> tuple[Gets, dict[str, str]]:
        evidence = recorder.evidence_item(item)
        if not isinstance(evidence, MemoryEvidence) or not evidence.uri:
            msg = f"evidence {item} has no stored object"
            raise InvestigationError(msg)
        store = recorder.gateways.evidence
        gets: Gets = {
            "memory": (
                evidence.digests[-1].value,
                store.get_url(evidence.uri.removeprefix(f"s3://{store.bucket}/")),
            )
        }
        for name, fact in evidence.origin.kernel_facts.items():
            gets[name] = (fact.sha256, store.get_url(fact.key))
        table = self._table(recorder, item)
        if table is not None:
            what = f"symbol library offers {table.key}, made from {table.package} ({table.method})"
            recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=item)
            gets["symbols"] = (table.sha256, self._symbols(recorder).get_url(table))
        return gets, {}

    def _symbols(self, recorder: CaseRecorder) -> SymbolStore:
        return SymbolStore.of(self.sessions.forensic("custodian"), recorder.gateways, self.settings)

    def _again(self, recorder: CaseRecorder, item: str, found: Investigation) -> bool:
        """An image without symbols is examined again when the library has got a table for it."""
        without = found.outcome == Outcome.PARTIAL.value and WITHOUT_SYMBOLS in (found.reason or "")
        return without and self._table(recorder, item) is not None

    def _table(self, recorder: CaseRecorder, item: str) -> SymbolTable | None:
        """The symbol library's table for the image's kernel; the tool uses it when the kernel's own facts do not do."""
        evidence = recorder.evidence_item(item)
        banner = evidence.origin.kernel_banner if isinstance(evidence, MemoryEvidence) else None
        if not banner:
            return None
        try:
            return self._symbols(recorder).find(banner)
        except SignatureError as error:
            # The analysis goes on without it: partial at worst, never with a table that nobody signed.
            recorder.note(f"symbol library: {error}; {error.next_action}", evidence_id=item)
            return None


class AnalyseDiskOperator(_AnalyseOperator):
    """The toolkit, and what the registry has besides, on every evidence volume."""

    kind = EvidenceKind.DISK

    def _inputs(self, recorder: CaseRecorder, item: str) -> tuple[Gets, dict[str, str]]:
        ebs = EbsGateway.of(self.sessions.forensic())
        found = [
            v for v in ebs.find_volumes(tags={TAG_CASE: recorder.case_id, TAG_EVIDENCE: item}) if v["State"] == "in-use"
        ]
        if not found:
            msg = f"no volume of {item} is attached to the forensic instance"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        instance_id = running_instance(recorder, self.sessions.forensic())
        mine = [v for v in found if any(a["InstanceId"] == instance_id for a in v.get("Attachments", []))]
        if not mine:
            msg = f"the volume of {item} is attached to another instance than {instance_id}"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        return {}, {"VolumeId": str(mine[0]["VolumeId"])}
