"""What the tools on the forensic instance get: what the host may fetch, and the document's own parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from forensics.aws.disk_keys import DiskKeyGateway, StoredKey
from forensics.aws.ebs import EbsGateway
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.visibility import until_found
from forensics.case.recorder import CaseRecorder
from forensics.case.rehash import rehash
from forensics.custody.signed_documents import SignatureError
from forensics.errors import ForensicsError, InvestigationError
from forensics.investigation.symbol_store import SymbolStore
from forensics.models.case import TimelineKind
from forensics.models.evidence import EvidenceKind, MemoryEvidence, Outcome
from forensics.models.results import Investigation
from forensics.models.symbols import SymbolTable
from forensics.naming import TAG_CASE, TAG_EVIDENCE

# Name in the manifest -> (SHA-256 or None, presigned URL)
Gets = dict[str, tuple[str | None, str]]


@dataclass(frozen=True)
class ToolInput:
    """For one item of evidence: what the host may fetch, and further parameters of the document."""

    gets: Gets = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    keys: tuple[StoredKey, ...] = ()


class AnalysisInputs(ABC):
    """The inputs of every item of one kind of evidence."""

    kind: EvidenceKind

    @abstractmethod
    def find(self, item: str, *, instance_id: str) -> ToolInput:
        """The input of an item on an instance; raises :class:`InvestigationError` when it is not available."""

    @abstractmethod
    def check(self, items: list[str]) -> None:
        """Check the stored items before a tool gets them."""

    def worth_repeating(self, found: Investigation) -> bool:
        """Whether an analysis that succeeded should run once more now."""
        return False


class MemoryInputs(AnalysisInputs):
    """The memory image, the target's kernel facts, and the symbol library's table for the kernel."""

    kind = EvidenceKind.MEMORY

    def __init__(self, recorder: CaseRecorder, *, symbols: SymbolStore, archive: EvidenceArchive) -> None:
        self._recorder = recorder
        self._symbols = symbols
        self._archive = archive

    def check(self, items: list[str]) -> None:
        """Hash each stored image again."""
        for evidence in map(self._recorder.evidence_item, items):
            if isinstance(evidence, MemoryEvidence):
                rehash(self._archive, self._recorder, evidence)

    def find(self, item: str, *, instance_id: str) -> ToolInput:
        """The image and everything that helps to read it."""
        evidence = self._recorder.evidence_item(item)
        if not isinstance(evidence, MemoryEvidence) or not evidence.uri:
            msg = f"evidence {item} has no stored object"
            raise InvestigationError(msg)
        store = self._recorder.gateways.evidence
        image = store.get_url(evidence.uri.removeprefix(f"s3://{store.bucket}/"))
        gets: Gets = {"memory": (evidence.digests[-1].value, image)}
        for name, fact in evidence.origin.kernel_facts.items():
            gets[name] = (fact.sha256, store.get_url(fact.key))
        table = self.symbol_table(item)
        if table is not None:
            what = f"symbol library offers {table.key}, made from {table.package} ({table.method})"
            self._recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=item)
            gets["symbols"] = (table.sha256, self._symbols.get_url(table))
        return ToolInput(gets=gets)

    def worth_repeating(self, found: Investigation) -> bool:
        """An image that was examined without symbols is examined again once the library has a table for its kernel."""
        return found.without_symbols and self.symbol_table(found.evidence_id) is not None

    def symbol_table(self, item: str) -> SymbolTable | None:
        """The symbol library's table for the image's kernel; the tool uses it when the kernel's own facts do not suffice."""
        evidence = self._recorder.evidence_item(item)
        banner = evidence.origin.kernel_banner if isinstance(evidence, MemoryEvidence) else None
        if not banner:
            return None
        try:
            return self._symbols.find(banner)
        except SignatureError as error:
            # The analysis continues without it: partial at worst, never with a table that nobody signed.
            self._recorder.note(f"symbol library: {error}; {error.next_action}", evidence_id=item)
            return None


class DiskInputs(AnalysisInputs):
    """The volume of each disk, by its id: the host finds it among its devices; ``keys`` names those that encrypted ones are tried with."""

    kind = EvidenceKind.DISK

    def __init__(
        self, recorder: CaseRecorder, ebs: EbsGateway, *, stored: DiskKeyGateway | None = None, keys: Sequence[str] = ()
    ) -> None:
        self._recorder = recorder
        self._ebs = ebs
        self._stored = stored
        self._names = tuple(dict.fromkeys(keys))

    def check(self, items: list[str]) -> None:
        """Nothing to do: a disk's copy is a locked snapshot, which the disk flow hashes."""

    def find(self, item: str, *, instance_id: str) -> ToolInput:
        """The attached volume of a disk."""
        marks = {TAG_CASE: self._recorder.case_id, TAG_EVIDENCE: item}
        # attached a moment ago: a list may leave it out, or show it as it was before
        attached = until_found(lambda: [v for v in self._ebs.find_volumes(tags=marks) if v["State"] == "in-use"])
        if not attached:
            msg = f"no volume of {item} is attached to the forensic instance"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        here = [v for v in attached if any(a["InstanceId"] == instance_id for a in v.get("Attachments", []))]
        if not here:
            msg = f"the volume of {item} is attached to another instance than {instance_id}"
            raise InvestigationError(msg, next_action="clear investigation.attach_evidence_volumes")
        return ToolInput(parameters={"VolumeId": str(here[0]["VolumeId"])}, keys=tuple(self._keys(item)))

    def worth_repeating(self, found: Investigation) -> bool:
        """A disk of which something was not read is examined again with keys that were not offered before."""
        return found.outcome is Outcome.PARTIAL and bool(set(self._names) - {key.name for key in found.disk_keys})

    def _keys(self, item: str) -> Iterator[StoredKey]:
        """The keys that can be read; for another the timeline says why, and the disk is examined without it."""
        if self._stored is None:
            return
        for name in self._names:
            try:
                yield self._stored.read(name)
            except ForensicsError as error:
                what = f"{error}; the disk is examined without this key. {error.next_action}"
                self._recorder.note(what[:1000], kind=TimelineKind.INVESTIGATION, evidence_id=item)
