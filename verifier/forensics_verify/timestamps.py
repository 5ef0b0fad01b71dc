"""Time stamps of signed heads (RFC 3161), checked offline: that a signature existed at a time that an authority vouches for.

A token is a CMS SignedData (RFC 5652) over a TSTInfo, made for the bytes of the head's signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from forensics_verify.contents import Bundle
from forensics_verify.problems import shown
from forensics_verify.signatures import SignatureError, decode

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512,
}  # fmt: skip
LONGEST_CHAIN = 6
# What asn1crypto may raise for bytes that are not what they should be.
BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)
NONE = (
    "no signed head carries a time stamp of an authority (RFC 3161): that it was signed when it says so rests on AWS's clock"
    " and on who holds the key"
)


@dataclass(frozen=True)
class Stamp:
    """A token that fits its signature: when, by whom, and whether the reader trusts who certified that."""

    at: datetime
    signer: str
    trusted: bool


def certificates(data: bytes) -> list[bytes]:
    """Certificates of a file, PEM or DER, as DER. Raises :class:`SignatureError`."""
    try:
        pem = b"-----BEGIN" in data
        found = x509.load_pem_x509_certificates(data) if pem else [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise SignatureError(f"not a certificate: {error}") from error
    return [certificate.public_bytes(Encoding.DER) for certificate in found]


def check(bundle: Bundle, path: str, *, record: dict[str, Any], signed_at: str) -> None:
    """Check the time stamp of one head; what is wrong, absent or not anchored is said."""
    kept, findings = record.get("timestamp"), bundle.findings
    if kept is None:
        findings.remark(NONE)
        return
    if not isinstance(kept, dict) or not set(kept) <= {"authority", "token", "missing"} or "authority" not in kept:
        findings.wrong(path, "its time stamp is not of the agreed form")
        return
    if "token" not in kept:
        why = shown(kept.get("missing"))[:300]
        findings.remark(f"{path.rsplit('/', 1)[-1]} was signed without a time stamp: {why}")
        return
    try:
        stamp = read(decode(str(kept["token"])), decode(str(record["signature"])), authorities=bundle.authorities)
    except ImportError:
        findings.remark(
            "time stamps were not checked: install asn1crypto beside this program (forensics-verify[timestamps])"
        )
        return
    except SignatureError as error:
        findings.wrong(path, f"its time stamp was changed or exchanged: {error}")
        return
    findings.right("time stamps of signed heads" + ("" if stamp.trusted else ", by an authority that you did not name"))
    if not stamp.trusted:
        findings.remark(
            f"time stamps say that they are of {shown(stamp.signer)}: name its certificate, or who certifies it, with"
            " --tsa-certificate"
        )
    findings.remark(
        f"{path.rsplit('/', 1)[-1]}: signed {shown(signed_at)} by AWS's clock, stamped {stamp.at:%Y-%m-%dT%H:%M:%SZ}"
    )


def read(token: bytes, stamped: bytes, *, authorities: Sequence[bytes]) -> Stamp:
    """Check a token for the bytes ``stamped``. Raises :class:`SignatureError`, and ImportError where asn1crypto is missing."""
    from asn1crypto import cms, tsp

    try:
        signed = cms.ContentInfo.load(token, strict=True)["content"]
        inner = signed["encap_content_info"]
        if inner["content_type"].native != "tst_info" or len(signed["signer_infos"]) != 1:
            raise SignatureError("it is not a time stamp of one authority")
        content = bytes(inner["content"].contents)
        stated = tsp.TSTInfo.load(content, strict=True)
        signer = signed["signer_infos"][0]
        at = stated["gen_time"].native
        own = [choice.chosen.dump() for choice in signed["certificates"]]
        _imprint(stated["message_imprint"], stamped)
        known = [x509.load_der_x509_certificate(der) for der in {*own, *authorities}]
        certificate = _signer(signer, content, known)
    except (*BROKEN, UnsupportedAlgorithm) as error:
        if isinstance(error, SignatureError):
            raise
        raise SignatureError(f"it cannot be read: {error}") from error
    _may_stamp(certificate, at)
    roots = {bytes(der) for der in authorities}
    return Stamp(at.astimezone(UTC), certificate.subject.rfc4514_string(), _leads_to(certificate, known, roots, at=at))


def _imprint(imprint: Any, stamped: bytes) -> None:
    name = imprint["hash_algorithm"]["algorithm"].native
    if name not in HASHES:
        raise SignatureError(f"it was made with {name}, which is not accepted")
    if imprint["hashed_message"].native != hashlib.new(name, stamped).digest():
        raise SignatureError("it was made for another signature")


def _signer(signer: Any, content: bytes, known: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate whose key made the token's signature (RFC 5652, 5.4 to 5.6)."""
    attributes = {a["type"].native: a["values"] for a in signer["signed_attrs"]}
    name = signer["digest_algorithm"]["algorithm"].native
    if name not in HASHES:
        raise SignatureError(f"it was signed with {name}, which is not accepted")
    if attributes["content_type"].native != ["tst_info"]:
        raise SignatureError("its signature is over something else")
    if attributes["message_digest"].native != [hashlib.new(name, content).digest()]:
        raise SignatureError("its content was changed")
    message = signer["signed_attrs"].untag().dump()
    raw, kind = signer["signature"].native, signer["signature_algorithm"].signature_algo
    for certificate in known:
        if _names(attributes, certificate) and _fits(certificate, raw, message, kind=kind, chosen=HASHES[name]()):
            return certificate
    raise SignatureError("no certificate at hand has the key that signed it")


def _names(attributes: dict[str, Any], certificate: x509.Certificate) -> bool:
    """Whether the signed attributes name this certificate (RFC 2634, ESSCertID; RFC 5035, ESSCertIDv2): they must."""
    der = certificate.public_bytes(Encoding.DER)
    if "signing_certificate_v2" in attributes:
        first = attributes["signing_certificate_v2"][0]["certs"][0]
        algorithm = first["hash_algorithm"]["algorithm"].native
        return algorithm in HASHES and bool(first["cert_hash"].native == hashlib.new(algorithm, der).digest())
    if "signing_certificate" in attributes:
        first = attributes["signing_certificate"][0]["certs"][0]
        return bool(first["cert_hash"].native == hashlib.sha1(der, usedforsecurity=False).digest())
    return False


def _fits(
    certificate: x509.Certificate, raw: bytes, message: bytes, *, kind: str, chosen: hashes.HashAlgorithm
) -> bool:
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
            key.verify(raw, message, padding.PKCS1v15(), chosen)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(raw, message, ec.ECDSA(chosen))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _may_stamp(certificate: x509.Certificate, at: datetime) -> None:
    """The certificate is one of a time-stamping authority and nothing else (RFC 3161, 2.3), and was valid then."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        raise SignatureError("its certificate is not one of a time-stamping authority") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise SignatureError("its certificate is not one of a time-stamping authority alone")
    if not _valid(certificate, at):
        raise SignatureError(f"its certificate was not valid at {at.isoformat()}")


def _valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _leads_to(
    certificate: x509.Certificate, known: Sequence[x509.Certificate], roots: set[bytes], *, at: datetime, depth: int = 0
) -> bool:
    """Whether the certificate is trusted, or certified by one that is, all valid at that time."""
    if certificate.public_bytes(Encoding.DER) in roots:
        return True
    if depth == LONGEST_CHAIN:
        return False
    return any(
        _leads_to(issuer, known, roots, at=at, depth=depth + 1)
        for issuer in known
        if issuer != certificate and _certifies(issuer, certificate) and _valid(issuer, at)
    )


def _certifies(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True
