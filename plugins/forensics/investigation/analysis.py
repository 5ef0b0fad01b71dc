"""Runs the selected documents on the evidence of one kind: one pinned command for each document and item."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.ssm import ASK_THE_AGENT, FREE_THE_DISK, ExpectedCommand, SsmGateway
from forensics.case.adoption import living_command
from forensics.case.recorder import CaseRecorder
from forensics.case.turns import turn
from forensics.document_registry import Selection, select
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.analysis_inputs import AnalysisInputs, Gets, ToolInput
from forensics.investigation.artifacts import EXPECTED, import_artifacts, result_key, revoke_manifest
from forensics.investigation.evidence_selection import examinable
from forensics.manifest import MANIFEST, render
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.documents import Document, Output
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, SentDocument
from forensics.printable import count
from forensics.settings import Settings

_LOOK = "look at the command's output in SSM and at the forensic AMI's tools, then clear the investigation tasks to run it again"
# Commands that nobody took are sent again so many times, each a delivery time-out apart at most.
MOST_SENT_AGAIN = 3
# Seconds of a second opinion: the case closes with a gap rather than wait longer for it.
COMPARISON_SECONDS = 1800
# The name in the manifest of the results that a second opinion is compared with (the toolkit's commands/comparison.py).
COMPARED_WITH = "quick"


@dataclass(frozen=True)
class Job:
    """One document to run on one item of evidence."""

    document: Document
    item: str

    @property
    def key(self) -> str:
        """Sort key of its record in the case store."""
        return result_key(self.document.activity, self.item)


class Analysis:
    """The analysis of one kind of evidence of a case; ``only``: by one activity that a person has ordered.

    ``following``: by what follows an activity and is compared with its results, a second opinion.
    """

    def __init__(
        self,
        recorder: CaseRecorder,
        inputs: AnalysisInputs,
        *,
        ssm: SsmGateway,
        settings: Settings,
        only: str = "",
        following: bool = False,
    ) -> None:
        self._only = only
        self._following = following
        self._recorder = recorder
        self._inputs = inputs
        self._ssm = ssm
        self._settings = settings

    @property
    def seconds(self) -> int:
        """How long each command may take."""
        limit = self._settings.investigation_timeout_seconds
        return min(limit, COMPARISON_SECONDS) if self._following else limit

    # ------------------------------------------------------------------ what is to be done
    def open_jobs(self, items: list[str]) -> list[Job]:
        """The jobs on these items that have not succeeded yet; the timeline names the documents when there are any."""
        selection = self._select()
        jobs = [Job(document, item) for document in selection.chosen for item in items]
        if self._following:
            jobs = [job for job in jobs if self._followed(job)]
        left = [job for job in jobs if not self._done(job)]
        if left:
            names = ", ".join(d.name for d in selection.chosen)
            rest = f" (not: {'; '.join(selection.left_out)})" if selection.left_out else ""
            what = f"documents for {self._inputs.kind.value}: {names}{rest}"
            self._recorder.note(what, kind=TimelineKind.INVESTIGATION)
        return left

    def comparable(self, items: list[str]) -> bool:
        """Whether there is anything on these items that a second opinion can be compared with."""
        return any(self._followed(Job(document, item)) for document in self._select().chosen for item in items)

    def _select(self) -> Selection:
        target, artifact = self._recorder.target(), self._recorder.artifact()
        described = target or artifact
        return select(
            self._inputs.kind,
            platform=described.platform if described else "linux",
            os=f"{target.ssm.platform_name or ''} {target.ssm.platform_version or ''}".strip() if target else "",
            finding_types=[t for finding in self._recorder.findings() for t in finding.types],
            only=self._only,
            following=self._following,
        )

    def _done(self, job: Job) -> bool:
        found = self._recorder.get(job.key, Investigation)
        if found is None or not found.succeeded:
            return False
        if not job.document.follows:
            return not self._inputs.worth_repeating(found)
        followed = self._followed(job)
        # what was examined again is compared again
        return not (followed and followed.ended_at and found.started_at and followed.ended_at > found.started_at)

    def _followed(self, job: Job) -> Investigation | None:
        """The activity that a job follows, where it has results of this item."""
        found = self._recorder.get(result_key(job.document.follows, job.item), Investigation)
        return found if found and found.succeeded and "results" in found.artifacts else None

    def _compared_with(self, job: Job) -> Gets:
        """The results that a second opinion is compared with, by digest."""
        if not job.document.follows:
            return {}
        found = self._followed(job)
        if found is None:
            msg = f"{job.document.follows} has no results of {job.item} that {job.document.activity} could be compared with"
            raise InvestigationError(msg, next_action="examine the disk first: clear investigation.analyse_disk")
        stored, store = found.artifacts["results"], self._recorder.gateways.evidence
        return {COMPARED_WITH: (stored.sha256, store.get_url(stored.uri.removeprefix(f"s3://{store.bucket}/")))}

    # ------------------------------------------------------------------ sending
    def start(self, jobs: list[Job], items: list[str], *, instance_id: str) -> list[list[str]]:
        """Check the items and send a command for each job; returns pairs of command id and instance id."""
        self._inputs.check(items)
        return [[self._send(job, instance_id), instance_id] for job in jobs]

    def _send(self, job: Job, instance_id: str) -> str:
        with turn(self._recorder, job.key):
            return self._send_once(job, instance_id)

    def _send_once(self, job: Job, instance_id: str) -> str:
        known = self._recorder.get(job.key, Investigation)
        if known and known.outcome is Outcome.PENDING and known.instance_id == instance_id:
            if known.command_id:
                self._accessed(known)
                return known.command_id  # an earlier try's: running, or ended and not imported yet
            if running := self._living(job, known, instance_id):
                # A process was lost between sending the command and recording its id.
                self._record_sent(known.model_copy(update={"command_id": running}))
                return running
        if known:
            revoke_manifest(self._recorder, known)
        return self._new_command(job, instance_id)

    def _living(self, job: Job, known: Investigation, instance_id: str) -> str | None:
        manifest = f"{known.document.landing_prefix}/{MANIFEST}"
        return living_command(
            self._recorder,
            self._ssm,
            instance_id=instance_id,
            expected=ExpectedCommand(
                comment=self._comment(job),
                document=known.document.name,
                sha256=known.document.sha256,
                manifest=self._recorder.gateways.landing.address(manifest),
                unrecorded_since=known.started_at,
            ),
            evidence_id=job.item,
        )

    def _new_command(self, job: Job, instance_id: str, *, sent_again: int = 0) -> str:
        given = self._inputs.find(job.item, instance_id=instance_id)
        # Only the toolkit's own contract knows keys; a tool of the user's own would print or refuse the line.
        keys = given.keys if job.document.output is Output.RESULTS and not job.document.follows else ()
        given = replace(given, gets={**given.gets, **self._compared_with(job)})
        update = {"sent_again": sent_again, "disk_keys": [key.used for key in keys]}
        record = self._pending_record(job, instance_id).model_copy(update=update)
        # Recorded first: if this process is lost, the manifest's place is known and it can be revoked.
        self._recorder.put(job.key, record)
        comment = self._comment(job)
        command_id = self._send_document(job, record, given=replace(given, keys=keys), comment=comment)
        self._record_sent(record.model_copy(update={"command_id": command_id}))
        return command_id

    def _comment(self, job: Job) -> str:
        return f"{self._recorder.case_id} {job.document.activity} {job.item}"

    def send_again(self, lost: Collection[str] = ()) -> list[list[str]]:
        """Send what no agent took once more, as a host that has just booted may lose its first commands.

        The tools only read and each command has uploads of its own, so that a run whose answer alone was lost does no harm.

        :param lost: ids of commands that the wait has cancelled because their agent took nothing
        :return: pairs of command id and instance id of all commands that are open now; empty when nothing was sent
        """
        pending, sent = self._pending(), False
        documents = {d.activity: d for d in self._select().chosen}
        for item in pending:
            document, command_id, instance_id = (
                documents.get(item.activity),
                str(item.command_id),
                str(item.instance_id),
            )
            found = self._ssm.invocation(command_id=command_id, instance_id=instance_id)
            untaken = command_id in lost or (found is not None and found.undelivered)
            if document is None or not untaken or item.sent_again >= MOST_SENT_AGAIN:
                continue
            revoke_manifest(self._recorder, item)
            job = Job(document, item.evidence_id)
            what = (
                f"command {command_id} ({item.activity} of {job.item}) was not taken by {instance_id}: it is sent again"
            )
            self._recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=job.item)
            self._new_command(job, instance_id, sent_again=item.sent_again + 1)
            sent = True
        return [[str(i.command_id), str(i.instance_id)] for i in self._pending()] if sent else []

    def _pending_record(self, job: Job, instance_id: str) -> Investigation:
        document, now = job.document, datetime.now(UTC)
        prefix = f"{self._recorder.case_id}/{job.item}/{document.activity}-{now:%Y%m%dT%H%M%S%fZ}"
        return Investigation(
            activity=document.activity,
            tool=document.tool,
            follows=document.follows,
            evidence_id=job.item,
            outcome=Outcome.PENDING,
            output=document.output,
            instance_id=instance_id,
            document=SentDocument(
                name=document.name,
                version=self._ssm.document_version(document.name, document.sha256),
                sha256=document.sha256,
                landing_prefix=prefix,
            ),
            started_at=now,
        )

    def _send_document(self, job: Job, record: Investigation, *, given: ToolInput, comment: str) -> str:
        seconds = self.seconds
        limit = {"ExecutionTimeout": str(seconds)} if job.document.takes_limit else {}
        url = self._publish(job.document, prefix=record.document.landing_prefix, given=given)
        own = {"CaseId": self._recorder.case_id, "EvidenceId": job.item, "ManifestUrl": url, **limit}
        return self._ssm.send(
            document=record.document.name,
            version=record.document.version,
            sha256=record.document.sha256,
            instance_id=str(record.instance_id),
            parameters={**own, **given.parameters},
            comment=comment,
            timeout_seconds=seconds,
            # When there are more commands than the agent runs at a time, the others wait.
            delivery_seconds=seconds,
        )

    def _publish(self, document: Document, *, prefix: str, given: ToolInput) -> str:
        """Write the manifest; returns its URL."""
        gateways = self._recorder.gateways
        offers = {name: (o.sha256, gateways.tools.get_url(o.key)) for name, o in document.offers.items()}
        # The results are uploaded when the tools have ended: their URLs have to outlive the command.
        wanted = self.seconds + 900
        seconds = gateways.landing.url_life(wanted)
        if seconds < wanted:
            self._recorder.note(
                f"the credentials that sign the upload of {document.name}'s results end in {seconds // 60} minutes: a run that "
                "takes longer cannot upload them and is repeated",
                kind=TimelineKind.INVESTIGATION,
            )
        puts = {
            name: gateways.landing.put_url(f"{prefix}/{name}", seconds=seconds) for name in EXPECTED[document.output]
        }
        keys = {key.used.name: key.value for key in given.keys}
        text = render(gets={**given.gets, **offers}, puts=puts, keys=keys)
        return gateways.landing.publish(f"{prefix}/{MANIFEST}", text=text)

    def _record_sent(self, record: Investigation) -> None:
        self._recorder.put(result_key(record.activity, record.evidence_id), record)
        self._accessed(record)

    def _accessed(self, record: Investigation) -> None:
        """State in ledger and timeline that the command reads the evidence. Safe to repeat."""
        self._recorder.custody(
            CustodyAction.EVIDENCE_ACCESSED,
            evidence_id=record.evidence_id,
            detail={
                "activity": record.activity,
                "command_id": record.command_id,
                "instance_id": record.instance_id,
                "document_sha256": record.document.sha256,
                **({"disk_keys": [key.model_dump() for key in record.disk_keys]} if record.disk_keys else {}),
            },
            once=f"accessed-{record.command_id}",
        )
        names = ", ".join(f"{key.name} (version {key.version})" for key in record.disk_keys)
        what = f"{record.activity} of {record.evidence_id} started" + (f" with the disk keys {names}" if names else "")
        at = record.started_at  # the note's own time: said again, it is the same note
        self._recorder.note(what, kind=TimelineKind.INVESTIGATION, at=at, evidence_id=record.evidence_id)

    # ------------------------------------------------------------------ results
    def import_results(self) -> dict[str, int]:
        """Import the artifacts of every command; returns the number of findings of each.

        Every result is imported before :class:`InvestigationError` names the commands that failed.
        """
        done: dict[str, int] = {}
        failed: list[str] = []
        actions: list[str] = []
        for item in self._pending():
            name = f"{item.activity} of {item.evidence_id}"
            try:
                found = self._ssm.invocation(command_id=str(item.command_id), instance_id=str(item.instance_id))
                done[name] = import_artifacts(self._recorder, item, found)
            except ForensicsError as error:
                failed.append(f"{name}: {error}")
                actions.append(error.next_action)
                update = {"outcome": Outcome.FAILED, "reason": str(error)[:1500], "ended_at": datetime.now(UTC)}
                self._recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=update))
        if failed:
            raise InvestigationError(
                f"investigation failed: {'; '.join(failed)}",
                next_action=next((a for a in actions if a in {FREE_THE_DISK, ASK_THE_AGENT}), _LOOK),
            )
        self.announce(once=False)
        return done

    def _mine(self) -> list[Investigation]:
        """What tools were run on the evidence of this kind."""
        mine = set(examinable(self._recorder.evidence(), self._inputs.kind))
        records = self._recorder.gateways.store.items(self._recorder.case_id, case_keys.RESULT)
        found = [i for _, data in records if (i := Investigation.stored(data)).evidence_id in mine and i.command_id]
        return [i for i in found if self._only or bool(i.follows) is self._following]

    def _pending(self) -> list[Investigation]:
        return [i for i in self._mine() if i.outcome is Outcome.PENDING]

    def give_up(self, cause: str) -> None:
        """What has not ended has no result, for this reason."""
        for item in self._pending():
            revoke_manifest(self._recorder, item)
            update = {"outcome": Outcome.FAILED, "reason": cause[:1500], "ended_at": datetime.now(UTC)}
            self._recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=update))

    def announce(self, *, once: bool = True) -> None:
        """Tell people what the tools found; ``once``: unless they were told, by a try that died behind its results."""
        if self._following:
            return  # no finding comes of it, and the report says what it gave
        done = {
            f"{i.activity} of {i.evidence_id}": i.findings
            for i in self._mine()
            if i.succeeded and self._only in {"", i.activity}
        }
        if not done:
            return
        kind = self._inputs.kind.value
        self._recorder.announce(
            f"investigated:{kind}",
            f"Investigation of {kind} done: {count(sum(done.values()), 'finding')}",
            lines=[f"{name}: {count(number, 'finding')}" for name, number in done.items()],
            facts={"findings": done},
            once=once,
            routine=True,
        )
