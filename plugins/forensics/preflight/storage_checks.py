"""The stores: the landing bucket as hosts and Airflow use it, the evidence store, the ledger's key, the case store, the tools."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from datetime import UTC, datetime

from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_landing import LandingGateway, ToolsGateway
from forensics.aws.session import AwsSession
from forensics.case_keys import PREFLIGHT_PROBE
from forensics.errors import AwsError, EvidenceTransferError, ForensicsError, ResourceGoneError
from forensics.manifest import MANIFEST
from forensics.models.preflight import Heartbeat
from forensics.naming import PREFLIGHT, case_prefix
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope

BODY = b"forensics preflight\n"
# What ssm_documents/*.yaml take as the parameter ManifestUrl; a test holds the two together.
URL_LIMIT = 8000
# A capture of one large image takes this long; URLs that end sooner cost it a try.
WANTED_SECONDS = 900
_SECONDS = 10.0
# The lock of a preflight's object: the least that Object Lock takes in whole days.
LOCK_DAYS = 1


def phase_session(scope: PreflightScope, phase: str) -> AwsSession:
    """A session in the forensic account; raises :class:`NotTriedError` when the role's own line says why there is none."""
    try:
        return scope.phase(phase)
    except ForensicsError as error:
        msg = f"role {scope.settings.role_prefix}{phase} could not be assumed"
        raise NotTriedError(msg, next_action="repair what the lines of `roles` say, then run it again") from error


class LandingCheck(Check):
    """A host's upload from start to end, and the manifest: put, read by its URL, deleted."""

    name = "landing"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.landing_bucket)
        self._scope = scope
        # Airflow may delete what is named so, and nothing else: the check can remove all that it makes.
        self._prefix = f"preflight/{scope.run}"
        self._upload_key = f"{self._prefix}/upload/{MANIFEST}"
        self._upload_id = ""
        self._completed = False

    def attempt(self) -> str:
        """Play it, then remove it."""
        landing = LandingGateway.of(self._scope.own(), self._scope.settings)
        try:
            self._play(landing)
        finally:
            self._remove(landing)
        left = [k for k in (self._upload_key, f"{self._prefix}/{MANIFEST}") if landing.size(k) is not None]
        if left:
            raise BrokenError(
                f"{left[0]} is still there after it was deleted", next_action="look at the bucket's policy"
            )
        return "upload by presigned URL, listing, completion, manifest and its deletion work"

    def _play(self, landing: LandingGateway) -> None:
        self._upload_id = landing.start_upload(self._upload_key)
        (url,) = landing.part_urls(self._upload_key, upload_id=self._upload_id, count=1, seconds=300)
        _http("PUT", url, BODY)
        if (sizes := landing.part_sizes(self._upload_key, upload_id=self._upload_id)) != {1: len(BODY)}:
            raise BrokenError(
                f"S3 lists the parts {sizes} of one that was put", next_action="run it again; tell the maintainers"
            )
        landing.complete_upload(self._upload_key, upload_id=self._upload_id, limit=len(BODY))
        self._completed = True
        manifest = landing.publish(f"{self._prefix}/{MANIFEST}", text=BODY.decode(), seconds=300)
        if _http("GET", manifest) != BODY:
            raise BrokenError("the manifest reads back differently by its URL", next_action="look for a proxy between")

    def _remove(self, landing: LandingGateway) -> None:
        if self._upload_id and not self._completed:
            landing.abort_upload(self._upload_key, upload_id=self._upload_id)
        landing.delete(self._upload_key)
        landing.delete(f"{self._prefix}/{MANIFEST}")

    def repair(self, error: ForensicsError) -> str:
        """The landing bucket has three gates: role, bucket policy, endpoint policy; and its key."""
        return f"{next_action_for(error)}. The landing bucket is of stack forensics-work-buckets, its key of forensics-keys"


def _http(method: str, url: str, body: bytes | None = None) -> bytes:
    """One request as a host makes it: no credentials but the URL."""
    headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    where = url.partition("?")[0]
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read(400).decode("utf-8", "replace")
        msg = f"{method} {where} by presigned URL: HTTP {error.code}: {said}"
        action = "a host's upload is refused: compare the landing bucket's policy and its key's with stacks work-buckets and keys, "
        raise BrokenError(msg, next_action=action + "and the S3 endpoint's policy with forensics-endpoints") from error
    except (urllib.error.URLError, TimeoutError) as error:
        msg = f"{method} {where} by presigned URL: {error}"
        raise BrokenError(
            msg, next_action="give the control subnets a way to S3 (S3Endpoint of forensics-endpoints)"
        ) from error


class TokenCheck(Check):
    """The presigned manifest URL fits into the documents' parameter, and lives as long as a capture needs."""

    name = "token"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__("presigned URLs")
        self._scope = scope

    def attempt(self) -> str:
        """Sign one as a case does, and look at what signed it."""
        own, s = self._scope.own(), self._scope.settings
        key = f"{case_prefix('fc-20260101-0123456789')}uploads/memory-i-0123456789abcdef0/{MANIFEST}"
        length = len(LandingGateway.of(own, s).put_url(key, seconds=s.url_seconds))
        if length > URL_LIMIT:
            msg = f"a manifest's URL has {length} characters; the documents take {URL_LIMIT}"
            raise BrokenError(
                msg, next_action="tell the maintainers: AWS's session tokens have grown; no command would be sent"
            )
        left = own.seconds_left()
        if left is not None and left < WANTED_SECONDS:
            msg = f"URLs end with the credentials that sign them, in {left:.0f} s"
            action = "wait for Airflow's credentials to be renewed and run it again; when it stays, captures resume in pieces"
            raise BrokenError(msg, next_action=action)
        life = "credentials that do not end" if left is None else f"{left:.0f} s of credentials left"
        return f"URL of {length} of {URL_LIMIT} characters, {life} (forensics.url_seconds: {s.url_seconds})"


class EvidenceCheck(Check):
    """A locked object is written, its lock is read back, and overwriting it is refused.

    The object stays until its lock of one day has ended; the bucket's lifecycle rule removes it then. Nobody deletes
    evidence, and a preflight is no exception.
    """

    name = "evidence"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.evidence_bucket)
        self._scope = scope

    def attempt(self) -> str:
        """Write, read back, try to overwrite."""
        s = self._scope.settings
        store = EvidenceStore(
            phase_session(self._scope, "custodian").s3,
            bucket=s.evidence_bucket,
            owner=s.forensic_account_id,
            kms_key=s.evidence_key_arn,
            mode="GOVERNANCE",
            retention_days=LOCK_DAYS,
            legal_hold=False,
        )
        key = f"{case_prefix(PREFLIGHT)}{self._scope.run}.txt"
        stored = store.put(key, BODY, content_type="text/plain")
        self._refuses_overwrite(store, key)
        return f"{stored.uri} is locked ({stored.lock_mode}) until {stored.locked_until:%Y-%m-%d %H:%M}Z and cannot be overwritten"

    def _refuses_overwrite(self, store: EvidenceStore, key: str) -> None:
        try:
            store.put(key, b"other bytes\n", content_type="text/plain")
        except EvidenceTransferError:
            return
        msg = f"{store.uri(key)} was overwritten: the store did not refuse a second write"
        raise BrokenError(msg, next_action="stop writing evidence there: the bucket does not evaluate If-None-Match")

    def repair(self, error: ForensicsError) -> str:
        """Where the evidence store's parts are."""
        if isinstance(error, EvidenceTransferError):
            return "compare Object Lock and versioning of the bucket with stack forensics-evidence-store; evidence is not protected"
        return f"{next_action_for(error)}. The store is of stack forensics-evidence-store, its key of forensics-keys"


class LedgerCheck(Check):
    """The custody ledger's key signs and verifies."""

    name = "ledger"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.signing_key_id.rpartition("/")[2] or scope.settings.signing_key_id)
        self._scope = scope

    def attempt(self) -> str:
        """Sign and verify some bytes."""
        key = SigningKeyGateway.of(phase_session(self._scope, "custodian"), self._scope.settings)
        made = key.sign(BODY, what="a preflight")
        if not key.verify(hashlib.sha384(BODY).digest(), base64.b64decode(made.signature)):
            raise BrokenError("KMS does not verify its own signature", next_action="look at the key's state and spec")
        return "signs and verifies"

    def repair(self, error: ForensicsError) -> str:
        """No signature, no custody: cases would stop at their first entry."""
        return f"{next_action_for(error)}. The signing key is of stack forensics-keys; without it no ledger is sealed"


class StoreCheck(Check):
    """The case store takes an item and gives it back."""

    name = "case store"

    def __init__(self, scope: PreflightScope) -> None:
        super().__init__(scope.settings.case_table)
        self._scope = scope

    def attempt(self) -> str:
        """Write one item of the preflight's own, read it, look along the index of cases."""
        s = self._scope.settings
        store = CaseStore.of(self._scope.own(), s)
        now = datetime.now(UTC)
        probe = Heartbeat(sent_at=now, received_at=now, account_id=s.forensic_account_id)
        store.put(PREFLIGHT, PREFLIGHT_PROBE, probe)
        if store.get(PREFLIGHT, PREFLIGHT_PROBE, Heartbeat) != probe:
            raise BrokenError(
                "an item reads back differently", next_action="tell the maintainers, with the table's name"
            )
        store.list_cases(limit=1)
        return "writes, reads and lists"

    def repair(self, error: ForensicsError) -> str:
        """The table and its key."""
        return f"{next_action_for(error)}. The table is of stack forensics-case-store, its key of forensics-keys"


class ToolsCheck(Check):
    """What hosts fetch is there, and is what the settings say."""

    name = "tools"

    def __init__(self, scope: PreflightScope, *, key: str, sha256: str) -> None:
        super().__init__(key)
        self._scope = scope
        self._key = key
        self._sha256 = sha256

    def attempt(self) -> str:
        """Hash the object; without an expected digest it only has to be there."""
        tools = ToolsGateway.of(self._scope.own(), self._scope.settings)
        upload = (
            f"upload it to s3://{tools.bucket}/{self._key} as the role ReleaseRoleArn (step 6 of docs/deployment.md)"
        )
        try:
            found = tools.sha256(self._key)
        except ResourceGoneError as error:
            raise BrokenError(f"s3://{tools.bucket}/{self._key} does not exist", next_action=upload) from error
        except AwsError as error:
            # S3 does not say "not there" to who may not list
            raise BrokenError(
                error.message, next_action=f"{next_action_for(error)}; or it is not there: {upload}"
            ) from error
        if self._sha256 and found != self._sha256:
            msg = f"it has SHA-256 {found[:12]}…, the setting says {self._sha256[:12]}…: hosts would refuse it"
            raise BrokenError(msg, next_action=f"{upload}, or correct the setting (CaptureToolSha256)")
        return f"there, SHA-256 {found[:12]}…"
