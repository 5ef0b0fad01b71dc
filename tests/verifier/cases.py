"""Cases with real stores (moto in this process) and a signing key of their own, exported by the product."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore, StoredObject
from forensics.aws.s3_archive import EvidenceArchive
from forensics.custody.bundle_writer import CaseExport, ExportOrder
from forensics.custody.ledger import CustodyLedger
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import Digest

OWNER, BUCKET, TABLE = "222233334444", "evidence", "cases"
ARN = "arn:aws:kms:eu-central-1:222233334444:key/signing"
SUBJECT = serialization.PublicFormat.SubjectPublicKeyInfo


class Signer:
    """AWS KMS with one P-384 key."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP384R1())

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        """A signature over a digest."""
        assert (MessageType, SigningAlgorithm, len(Message)) == ("DIGEST", "ECDSA_SHA_384", 48)
        return {"KeyId": ARN, "Signature": self.key.sign(Message, ec.ECDSA(Prehashed(hashes.SHA384())))}

    def get_public_key(self, *, KeyId: str) -> dict[str, Any]:
        """The public half."""
        return {"KeyId": ARN, "PublicKey": self.key.public_key().public_bytes(serialization.Encoding.DER, SUBJECT)}


def stores(dynamodb: Any, s3: Any) -> None:
    """Make table and bucket."""
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("PK", "SK")],
        BillingMode="PAY_PER_REQUEST",
    )
    where = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True, CreateBucketConfiguration=where)


@dataclass
class Case:
    """One case: a ledger that grows and objects that it speaks of."""

    case_id: str
    dynamodb: Any
    s3: Any
    signer: Signer = field(default_factory=Signer)

    def __post_init__(self) -> None:
        self.store = CaseStore(self.dynamodb, table=TABLE)
        self.ledger = CustodyLedger(
            self.dynamodb,
            key=SigningKeyGateway(self.signer, key_id="alias/custody"),  # type: ignore[arg-type]
            store=self.store,
            actor="custodian",
        )
        self.evidence = EvidenceStore(
            self.s3, bucket=BUCKET, owner=OWNER, kms_key="key/evidence", mode="GOVERNANCE", retention_days=30
        )
        self.archive = EvidenceArchive(self.s3, bucket=BUCKET, owner=OWNER)

    @property
    def fingerprint(self) -> str:
        """Of the signing key."""
        return self.ledger.key.public_key().fingerprint

    def keep(self, name: str, body: bytes) -> StoredObject:
        """Store an object and say so in the ledger."""
        stored = self.evidence.put(f"cases/{self.case_id}/{name}", body)
        self.ledger.append(
            self.case_id,
            CustodyAction.ARTIFACT_STORED,
            evidence_id="memory-i-0123456789abcdef0",
            detail={"step": "test", "uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes},
        )
        return stored

    def compared(self, *values: str) -> None:
        """Say in the ledger that digests were found equal."""
        digests = tuple(Digest(value=v, subject=f"reading {n}", source="s3") for n, v in enumerate(values))
        self.ledger.append(
            self.case_id,
            CustodyAction.EVIDENCE_VERIFIED,
            evidence_id="memory-i-0123456789abcdef0",
            facts=CustodyFacts(digests=digests),
        )

    def grow(self, chance: random.Random) -> None:
        """A whole life, different for every seed."""
        self.ledger.append(self.case_id, CustodyAction.CASE_OPENED, detail={"ratio": chance.random(), "ü": "ß\u2028"})
        for number in range(chance.randint(2, 4)):
            size = chance.choice([0, 1, 511, 512, 513, 4096, 70_000])
            stored = self.keep(
                f"evidence/memory/item/{number}-{chance.getrandbits(32):08x}.bin", chance.randbytes(size)
            )
            self.compared(stored.sha256, stored.sha256)
            if chance.random() < 0.5:
                self.ledger.sign_head(self.case_id, phase=f"phase{number}", evidence=self.evidence)
        self.ledger.append(self.case_id, CustodyAction.CASE_CLOSED, detail={"status": "CLOSED"})
        self.ledger.sign_head(self.case_id, phase="memory", evidence=self.evidence)
        self.ledger.sign_head(self.case_id, phase="close", evidence=self.evidence)

    def export(self, path: Path, *, largest_mib: int | None = None) -> Path:
        """Write the bundle."""
        order = ExportOrder(
            case_id=self.case_id, exported_by="test", product="ec2-forensics 1.0.0", largest_mib=largest_mib
        )
        made = CaseExport(order=order, store=self.store, ledger=self.ledger, archive=self.archive)
        with path.open("wb") as file:
            for chunk in made.chunks():
                file.write(chunk)
        return path
