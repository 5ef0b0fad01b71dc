"""What is known of a forensic AMI when it is published: what it was built from, what is on it, what a scan found. As Image Builder says it."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from forensics.models.base import Model, Utc
from forensics.models.outside import Outside


class BuiltFrom(Outside):
    """One thing that went into the image: the base image, a component with its parameters, an archive with its digest."""

    uri: str
    parameters: dict[str, str] = Field(default_factory=dict)


class ImagePackage(Outside):
    """A package as SSM Inventory found it on the build instance (Image Builder, ListImagePackages)."""

    name: str
    version: str


class ScanFinding(Outside):
    """A vulnerability that Inspector found in the image (Image Builder, ListImageScanFindings)."""

    id: str
    severity: str
    packages: tuple[str, ...] = ()
    fixed_in: tuple[str, ...] = ()


class AmiRecord(Outside):
    """All of it; ``scanned`` is False where no scan has been made."""

    ami_id: str = Field(pattern=r"^ami-[0-9a-f]{1,17}$")
    image_arn: str
    built_at: Utc
    built_from: tuple[BuiltFrom, ...]
    packages: tuple[ImagePackage, ...]
    findings: tuple[ScanFinding, ...] = ()
    scanned: bool = False
    copies: dict[str, str] = Field(default_factory=dict, description="Region → id of the same image there")

    @property
    def by_severity(self) -> dict[str, int]:
        """Number of findings by Inspector's severity, in capitals."""
        return dict(sorted(Counter(f.severity for f in self.findings).items()))


class DsseSignature(Model):
    """One signature of an envelope: ECDSA P-384 over SHA-384, base64; ``keyid`` is the KMS key's ARN."""

    keyid: str
    sig: str


class DsseEnvelope(Model):
    """A signed payload (DSSE 1.0.2, github.com/secure-systems-lab/dsse)."""

    payloadType: str
    payload: str
    signatures: tuple[DsseSignature, ...] = Field(min_length=1)
