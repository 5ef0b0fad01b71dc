"""The bill of materials of a forensic AMI and the signed statement of what it was built from. Pure.

Forms: CycloneDX 1.6 (ECMA-424) with package URLs; in-toto Statement v1 with SLSA's build provenance v1 as predicate, in a DSSE envelope
(in-toto attestation framework; SLSA v1.0, "Provenance"). An AMI has no digest of its own that anybody could compute: it is named by its id, which EC2
gives once, and the bill of materials by its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from forensics.models.ami import AmiRecord, DsseEnvelope
from forensics.models.base import format_utc

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
# What builds: Image Builder's pipelines as this product's templates make them.
BUILD_TYPE: Final = "https://docs.aws.amazon.com/imagebuilder/latest/APIReference/API_StartImagePipelineExecution.html"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ec2-forensics:ami")


def folder(owner: str, ami_id: str) -> str:
    """Prefix in the evidence store; statement and bill of materials are written once."""
    return f"cases/{owner}/{ami_id}/"


def bill_of_materials(record: AmiRecord) -> bytes:
    """The packages of the image as CycloneDX JSON; the same record gives the same bytes."""
    components = [
        {
            "type": "library", "bom-ref": f"{p.name}@{p.version}", "name": p.name, "version": p.version,
            "purl": f"pkg:rpm/amzn/{quote(p.name, safe='')}@{quote(p.version, safe='')}",
        }
        for p in sorted(set(record.packages), key=lambda p: (p.name, p.version))
    ]  # fmt: skip
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, record.image_arn)}",
        "version": 1,
        "metadata": {
            "timestamp": format_utc(record.built_at),
            "component": {
                "type": "platform",
                "bom-ref": record.ami_id,
                "name": "forensic AMI",
                "version": record.ami_id,
            },
        },
        "components": components,
        "dependencies": [{"ref": record.ami_id, "dependsOn": [str(c["bom-ref"]) for c in components]}],
    }
    return _bytes(made)


def statement(record: AmiRecord, *, sbom: bytes, builder: str) -> bytes:
    """Subject, materials and scan of the image, to be signed."""
    made = {
        "_type": STATEMENT,
        "subject": [
            {"name": record.ami_id, "uri": record.image_arn, "digest": {"ec2ImageId": record.ami_id}},
            {"name": "sbom.cdx.json", "digest": {"sha256": hashlib.sha256(sbom).hexdigest()}},
        ],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"image": record.image_arn},
                "resolvedDependencies": [_material(m.uri, m.parameters) for m in record.built_from],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {"invocationId": record.image_arn, "finishedOn": format_utc(record.built_at)},
                "byproducts": [
                    {
                        "name": "scan",
                        "annotations": {"scanned": record.scanned, "findings": record.by_severity,
                                        "critical": [f.id for f in record.findings if f.severity == "CRITICAL"][:50]},
                    }
                ],
            },
        },
    }  # fmt: skip
    return _bytes(made)


def _material(uri: str, parameters: dict[str, str]) -> dict[str, Any]:
    digest = {"digest": {"sha256": parameters["sha256"]}} if "sha256" in parameters else {}
    return {"uri": uri, **digest, **({"annotations": parameters} if parameters else {})}


def signed_bytes(payload: bytes, *, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """DSSE's pre-authentication encoding: what the key signs."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def envelope(payload: bytes, *, key: str, signature: str) -> bytes:
    """The envelope as it is stored."""
    made = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key, "sig": signature}],
    }
    return _bytes(made)


def opened(body: Any) -> tuple[DsseEnvelope, bytes]:
    """An envelope and its payload. Raises ``ValueError`` for what is none."""
    try:
        found = DsseEnvelope.model_validate(body)
    except ValidationError as error:
        raise ValueError(f"it is no DSSE envelope: {error.errors()[0]['msg']}") from error
    if found.payloadType != PAYLOAD_TYPE:
        raise ValueError(f"its payload is {found.payloadType}, not {PAYLOAD_TYPE}")
    return found, base64.b64decode(found.payload, validate=True)


def names_image(payload: bytes, ami_id: str) -> bool:
    """Whether a statement is about this AMI."""
    found = json.loads(payload)
    subjects = found.get("subject", []) if isinstance(found, dict) and found.get("_type") == STATEMENT else []
    return any(s.get("name") == ami_id and s.get("digest", {}).get("ec2ImageId") == ami_id for s in subjects)


def _bytes(made: dict[str, Any]) -> bytes:
    return (json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
