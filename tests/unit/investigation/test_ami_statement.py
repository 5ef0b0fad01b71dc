"""Bill of materials and statement are of the published forms, and the same record gives the same bytes.

Sources: CycloneDX 1.6 (ECMA-424), required properties and the form of a serial number; package-url specification, type rpm; in-toto attestation
framework, Statement v1; SLSA v1.0, "Provenance"; DSSE 1.0.2, "Signature Definition" with its example of the pre-authentication encoding.
"""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from forensics.investigation.ami_statement import (
    bill_of_materials,
    envelope,
    names_image,
    opened,
    signed_bytes,
    statement,
)
from forensics.models.ami import AmiRecord, BuiltFrom, ImagePackage, ScanFinding
from tests.unit.builders import NOW

IMAGE = "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensics/1.0.0/1"
RECORD = AmiRecord(
    ami_id="ami-0123456789abcdef0", image_arn=IMAGE, built_at=NOW,
    built_from=(BuiltFrom(uri="arn:aws:imagebuilder:eu-central-1:aws:image/amazon-linux-2023-x86/x.x.x"),
                BuiltFrom(uri="arn:x:component/forensics-toolkit", parameters={"sha256": "a" * 64, "archive": "s3://b/toolkit.tar.gz"})),
    packages=(ImagePackage(name="lvm2", version="2.03.16-1"), ImagePackage(name="bash", version="5.2.15-1"), ImagePackage(name="gcc-c++", version="11")),
    findings=(ScanFinding(id="CVE-2026-1", severity="CRITICAL"), ScanFinding(id="CVE-2026-2", severity="HIGH")), scanned=True,
)  # fmt: skip


def test_the_bill_of_materials_is_cyclonedx() -> None:
    made = json.loads(bill_of_materials(RECORD))
    assert (made["bomFormat"], made["specVersion"], made["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", made["serialNumber"])
    assert made["metadata"]["component"] == {
        "type": "platform", "bom-ref": RECORD.ami_id, "name": "forensic AMI", "version": RECORD.ami_id
    }  # fmt: skip
    assert [c["purl"] for c in made["components"]] == [
        "pkg:rpm/amzn/bash@5.2.15-1", "pkg:rpm/amzn/gcc-c%2B%2B@11", "pkg:rpm/amzn/lvm2@2.03.16-1"
    ]  # fmt: skip
    refs = [c["bom-ref"] for c in made["components"]]
    assert len(refs) == len(set(refs)) and made["dependencies"][0]["dependsOn"] == refs
    shuffled = RECORD.model_copy(update={"packages": RECORD.packages[::-1] * 2})
    assert bill_of_materials(shuffled) == bill_of_materials(RECORD)


def test_the_statement_says_what_was_built_from_what() -> None:
    sbom = bill_of_materials(RECORD)
    made = json.loads(statement(RECORD, sbom=sbom, builder="arn:aws:imagebuilder:eu-central-1:222233334444"))
    assert (made["_type"], made["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    image, bill = made["subject"]
    assert image["digest"] == {"ec2ImageId": RECORD.ami_id}
    assert bill["digest"] == {"sha256": hashlib.sha256(sbom).hexdigest()}
    base, toolkit = made["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert "digest" not in base and toolkit["digest"] == {"sha256": "a" * 64}
    (scan,) = made["predicate"]["runDetails"]["byproducts"]
    assert scan["annotations"] == {"scanned": True, "findings": {"CRITICAL": 1, "HIGH": 1}, "critical": ["CVE-2026-1"]}


def test_the_signed_bytes_are_those_of_dsse() -> None:
    """The example of the specification."""
    assert signed_bytes(b"hello world", payload_type="http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_envelope_opens_to_its_payload_and_nothing_else_does() -> None:
    payload = statement(RECORD, sbom=b"x", builder="b")
    found, inside = opened(json.loads(envelope(payload, key="arn:k", signature="c2ln")))
    assert inside == payload and found.signatures[0].keyid == "arn:k"
    assert names_image(inside, RECORD.ami_id) and not names_image(inside, "ami-1")
    for wrong in (
        {},
        {"payloadType": "text/plain", "payload": "", "signatures": [{"keyid": "k", "sig": "s"}]},
        [],
        None,
    ):
        with pytest.raises(ValueError, match=r"it is no DSSE envelope|its payload is text/plain"):
            opened(wrong)
    assert not names_image(b"[]", RECORD.ami_id) and not names_image(b'{"subject": []}', RECORD.ami_id)
