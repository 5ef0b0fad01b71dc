"""KMS: MessageType DIGEST, PSS salts as long as the hash, bad signatures are errors, keys by foreign ARN, ARNs in answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from moto.core.exceptions import JsonRESTError
from moto.kms.models import Key, kms_backends
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey, RSAPrivateKey

from lab.emulator.patches.patching import replace

_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_KEY_ARN = re.compile(r"arn:aws[\w-]*:kms:([\w-]+):(\d{12}):")
_call = threading.local()


def _algorithm(name: str) -> Any:
    algorithm = _HASHES[name[-3:]]()
    return utils.Prehashed(algorithm) if getattr(_call, "digest", False) else algorithm


def _rsa_algorithm(_original: Any) -> Any:
    def padding_and_hash(self: Any, signing_algorithm: str) -> tuple[Any, Any]:
        plain = _HASHES[signing_algorithm[-3:]]()
        if "PSS" in signing_algorithm:
            return padding.PSS(mgf=padding.MGF1(plain), salt_length=plain.digest_size), _algorithm(signing_algorithm)
        return padding.PKCS1v15(), _algorithm(signing_algorithm)

    return padding_and_hash


def _ecdsa_algorithm(_original: Any) -> Any:
    def hash_algorithm(self: Any, signing_algorithm: str) -> Any:
        return _algorithm(signing_algorithm)

    return hash_algorithm


def _with_message_type(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def call(self: Any) -> str:
        digest = self._get_param("MessageType") == "DIGEST"
        if digest:
            expected = _HASHES[self._get_param("SigningAlgorithm")[-3:]].digest_size
            if len(self._get_param("Message")) != expected:
                raise JsonRESTError("ValidationException", "Digest is invalid length for algorithm.")
        _call.digest = digest
        try:
            answer = original(self)
        finally:
            _call.digest = False
        if json.loads(answer).get("SignatureValid") is False:
            raise JsonRESTError("KMSInvalidSignatureException", "")
        return answer

    return call


def _with_arn(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def get_public_key(self: Any) -> str:
        # stock moto gives the id; AWS answers with the key's ARN, as Sign does
        answer = json.loads(original(self))
        key = self.kms_backend.describe_key(self._get_param("KeyId"))
        return json.dumps(answer | {"KeyId": key.arn})

    return get_public_key


def _with_defaults(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, policy: Any, key_usage: str | None = None, *rest: Any, **named: Any) -> None:
        # KMS API reference, CreateKey: what is not asked for is a symmetric key for encryption in one Region
        original(self, policy, key_usage or "ENCRYPT_DECRYPT", *rest, **named)
        self.multi_region = bool(self.multi_region)

    return __init__


def _backend(_original: Any) -> property:
    def kms_backend(self: Any) -> Any:
        try:
            key_id = json.loads(self.body or "{}").get("KeyId") or ""
        except ValueError:
            key_id = ""
        arn = _KEY_ARN.match(key_id)
        if arn:
            return kms_backends[arn[2]][arn[1]]
        return kms_backends[self.current_account][self.region]

    return property(kms_backend)


def apply() -> None:
    """Install the patch."""
    replace(RSAPrivateKey, "_RSAPrivateKey__padding_and_hash_algorithm", _rsa_algorithm)
    replace(ECDSAPrivateKey, "_ECDSAPrivateKey__hash_algorithm", _ecdsa_algorithm)
    replace(Key, "__init__", _with_defaults)
    replace(KmsResponse, "sign", _with_message_type)
    replace(KmsResponse, "verify", _with_message_type)
    replace(KmsResponse, "get_public_key", _with_arn)
    replace(KmsResponse, "kms_backend", _backend)
