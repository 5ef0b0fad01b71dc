"""Volumes made from the acquired disks' snapshot copies, for the forensic instance to examine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.case.recorder import CaseRecorder
from forensics.errors import InvestigationError
from forensics.investigation.forensic_instance import VOLUME_PURPOSE
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.naming import TAG_CASE, TAG_EVIDENCE, tags

# Names only: documents find volumes by id. EC2 accepts sd[f-p] and xvd[b-c][a-z].
DEVICES = tuple(
    [f"/dev/sd{a}" for a in "fghijklmnop"] + [f"/dev/xvd{a}{b}" for a in "bc" for b in "abcdefghijklmnopqrstuvwxyz"]
)


@dataclass(frozen=True)
class AnalysisVolume:
    """A volume made from one acquired disk, in the state that EC2 shows; its blocks are fetched at ``rate`` MiB/s (0: when they are read)."""

    evidence_id: str
    volume_id: str
    state: str
    rate: int = 0


class EvidenceVolumes:
    """The analysis volumes of one case, for one forensic instance.

    :param zone: Availability Zone of the instance: a volume is attached only in its own zone
    """

    def __init__(self, recorder: CaseRecorder, ebs: EbsGateway, *, instance_id: str, zone: str, rate: int = 0) -> None:
        self._recorder = recorder
        self._ebs = ebs
        self._instance_id = instance_id
        self._zone = zone
        self._rate = rate

    @classmethod
    def of(cls, recorder: CaseRecorder, account: AwsSession, *, instance_id: str, rate: int = 0) -> Self:
        """The volumes in a session's account and Region, their blocks fetched at ``rate`` MiB/s (0: as EBS likes)."""
        zone = Ec2Gateway.of(account).zone(instance_id)
        return cls(recorder, EbsGateway.of(account), instance_id=instance_id, zone=zone, rate=rate)

    def create(self, items: list[str]) -> list[AnalysisVolume]:
        """A volume of each disk (evidence ids), in the order of the ids; an earlier try's is used again."""
        return [self._find(item) or self._create(item) for item in sorted(items)]

    def _find(self, item: str) -> AnalysisVolume | None:
        for volume in self._ebs.find_volumes(tags={TAG_CASE: self._recorder.case_id, TAG_EVIDENCE: item}):
            holders = {a["InstanceId"] for a in volume.get("Attachments", [])}
            usable = volume["State"] in {"creating", "available", "in-use"}
            if usable and volume["AvailabilityZone"] == self._zone and holders <= {self._instance_id}:
                rate = int(volume.get("VolumeInitializationRate", 0))
                return AnalysisVolume(item, str(volume["VolumeId"]), str(volume["State"]), rate)
        return None

    def _create(self, item: str) -> AnalysisVolume:
        evidence, here = self._recorder.disk(item), self._ebs.region
        if evidence is None:
            msg = f"evidence {item} is not recorded"
            raise InvestigationError(msg)
        copy_id = str(evidence.origin.copy_id)
        if (region := evidence.origin.copy_region or here) != here:
            msg = f"{item} stays in {region}: policy keeps it from being copied to {here}, where it would be examined"
            raise InvestigationError(
                msg, next_action="see forensics.cross_region_from; or examine the copy manually in its Region"
            )
        made, rate = self._ebs.create_volume(
            copy_id,
            rate=self._rate,
            zone=self._zone,
            token=f"{copy_id}-{self._instance_id}"[-64:],
            tags=tags(self._recorder.case_id, VOLUME_PURPOSE, evidence=item, source=copy_id),
        )
        return AnalysisVolume(item, made, "creating", rate)

    def plan_attachment(self, volumes: list[AnalysisVolume]) -> list[list[str]]:
        """Evidence id, volume id and device name of each volume to attach.

        Each is in the ledger before it is attached: from then on the instance may read the copy.
        """
        rates = {v.evidence_id: v.rate for v in volumes}
        attach = [[v.evidence_id, v.volume_id, device] for v, device in zip(volumes, DEVICES, strict=False)]
        for item, volume_id, _ in attach:
            self._recorder.custody(
                CustodyAction.EVIDENCE_ACCESSED,
                evidence_id=item,
                detail={"volume_id": volume_id, "instance_id": self._instance_id},
                once=f"attached-{volume_id}",
            )
            known = self._recorder.disk(item)
            fetched = _initialisation(known.origin.size_gib or 0 if known else 0, rate=rates[item])
            what = f"{item} is attached to the forensic instance as {volume_id}: {fetched}"
            self._recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=item)
        return attach


def _initialisation(size_gib: int, *, rate: int) -> str:
    """How long it takes until a volume has all blocks of its snapshot; a full one, the time is less for others."""
    if not rate:
        return (
            "EBS fetches its blocks when they are read, which is slow the first time; how long that takes is not known"
        )
    return f"EBS fetches its blocks at {rate} MiB/s, all of its {size_gib} GiB within {max(1, -(-size_gib * 1024 // rate // 60))} min"
