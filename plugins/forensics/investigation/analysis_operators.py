"""Steps that run the tools: the documents that the registry selects, on the forensic instance."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.disk_keys import DiskKeyGateway
from forensics.aws.ebs import EbsGateway
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.analysis import Analysis
from forensics.investigation.analysis_inputs import AnalysisInputs, DiskInputs, MemoryInputs
from forensics.investigation.evidence_selection import examinable
from forensics.investigation.forensic_instance import running_instance
from forensics.investigation.live_comparison import compare_all
from forensics.investigation.profiles import reads
from forensics.investigation.symbol_store import SymbolStore
from forensics.models.evidence import EvidenceKind
from forensics.settings import names

# Seconds in which an agent that is free takes a command, many times over.
LOST_AFTER = 120.0


class _AnalyseOperator(ForensicOperator):
    """Every selected document on every acquired item of one kind of evidence, each by one pinned command.

    :param activity: the one activity of the registry to run, which a person has ordered; empty: those that the registry selects
    """

    takes_artifacts = True
    template_fields: tuple[str, ...] = ("case_id", "activity")

    kind: ClassVar[EvidenceKind]
    # Whether it runs what follows an activity, instead of what follows none.
    following: ClassVar[bool] = False

    def __init__(self, *, activity: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activity = activity

    @abstractmethod
    def inputs(self, recorder: CaseRecorder) -> AnalysisInputs:
        """What the tools get of each item."""

    def _analysis(self, recorder: CaseRecorder) -> Analysis:
        ssm = SsmGateway.of(self.sessions.forensic())
        return Analysis(
            recorder,
            self.inputs(recorder),
            ssm=ssm,
            settings=self.settings,
            only=self.activity,
            following=self.following,
        )

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send one command for each document and item, and wait for all of them."""
        items = examinable(recorder.evidence(), self.kind)
        if not reads(self.activity, self.kind):
            raise AirflowSkipException(f"{self.activity} does not examine {self.kind.value}")
        if not items:
            raise AirflowSkipException(f"no {self.kind.value} evidence was acquired")
        analysis = self._analysis(recorder)
        jobs = analysis.open_jobs(items)
        if not jobs:
            analysis.announce()
            self._compare(recorder)
            return {"already": True}
        instance_id = running_instance(recorder, self.sessions.forensic())
        self._wait_for(analysis.start(jobs, items, instance_id=instance_id), seconds=analysis.seconds)
        return None

    def _wait_for(self, commands: list[list[str]], *, seconds: int) -> None:
        scope = self.sessions.forensic_scope().as_dict()
        timing = self.timing(seconds + 180)
        self.wait(SsmCommandsCompletedTrigger(scope=scope, commands=commands, lost_after=LOST_AFTER, **timing))

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, Any], context: Context) -> Json:
        """Import the artifacts of every command; one that failed does not hide the others' results.

        What the agent never took is sent again before that, and waited for.
        """
        analysis = self._analysis(recorder)
        if commands := analysis.send_again(payload.get("lost", ())):
            self._wait_for(commands, seconds=analysis.seconds)
        done = dict(analysis.import_results())
        self._compare(recorder)
        return done

    def _compare(self, recorder: CaseRecorder) -> None:
        """With what another source says of the same; also in a try after one that died when the results were in."""

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A command did not end in time."""
        return InvestigationError(cause, next_action=next_action or None)


class AnalyseMemoryOperator(_AnalyseOperator):
    """Volatility, and further tools of the registry, on the memory image; kernel facts of the target are its symbols."""

    kind = EvidenceKind.MEMORY

    def _compare(self, recorder: CaseRecorder) -> None:
        compare_all(recorder)

    def inputs(self, recorder: CaseRecorder) -> MemoryInputs:
        """The image, the kernel facts and a table of the symbol library."""
        custodian = self.sessions.forensic("custodian")
        return MemoryInputs(
            recorder,
            symbols=SymbolStore.of(custodian, recorder.gateways, self.settings),
            archive=EvidenceArchive.of(custodian, self.settings),
        )


class AnalyseDiskOperator(_AnalyseOperator):
    """The toolkit, and further tools of the registry, on every evidence volume.

    :param disk_keys: names of keys that encrypted volumes are tried with, before those of the setting ``disk_keys``
    """

    kind = EvidenceKind.DISK
    template_fields = (*_AnalyseOperator.template_fields, "disk_keys")

    def __init__(self, *, disk_keys: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.disk_keys = disk_keys

    def inputs(self, recorder: CaseRecorder) -> DiskInputs:
        """The attached volumes, and the keys that they may need."""
        session = self.sessions.forensic()
        keys = [*names(self.disk_keys), *names(self.settings.disk_keys)]
        return DiskInputs(recorder, EbsGateway.of(session), stored=DiskKeyGateway.of(session), keys=keys)


class CompareDiskOperator(AnalyseDiskOperator):
    """A second tool reads every disk that was examined, and what it counts is compared: after the first answers, never before them.

    A comparison that is killed, fails or is late is a gap of the case. The report is written without it.
    """

    following = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the comparison of each disk that has results, and wait for all of them."""
        if not self._analysis(recorder).comparable(examinable(recorder.evidence(), self.kind)):
            raise AirflowSkipException("no disk has results that the registry has a second tool for")
        return super().act(recorder, context)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """What is still open has no result: the closing does not wait for it."""
        self._analysis(recorder).give_up(f"the comparison was not made: {cause}")
