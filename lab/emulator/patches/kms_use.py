"""KMS: a key is used for what it was made for, and only while it is enabled (KMS developer guide, *Key states of AWS KMS keys*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse

from lab.emulator.patches.patching import replace

_USES = {
    "sign": "SIGN_VERIFY",
    "verify": "SIGN_VERIFY",
    "encrypt": "ENCRYPT_DECRYPT",
    "generate_data_key": "ENCRYPT_DECRYPT",
    "generate_data_key_without_plaintext": "ENCRYPT_DECRYPT",
}
# these take the key's id or ARN, and stock moto looks up what it was given
_BY_ID = ("disable_key", "enable_key", "schedule_key_deletion", "cancel_key_deletion")


def _usable(use: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def build(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(self: Any) -> Any:
            given = self._get_param("KeyId")
            self._validate_key_id(given)
            key = self.kms_backend.describe_key(given)
            if key.key_state == "Disabled":
                raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
            if key.key_state != "Enabled":
                state = "pending deletion" if key.key_state == "PendingDeletion" else key.key_state
                raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is {state}.")
            algorithm = self._get_param("SigningAlgorithm")
            if key.key_usage != use or (algorithm and algorithm not in key.signing_algorithms):
                raise JsonRESTError("InvalidKeyUsageException", f"{key.arn} cannot be used for this operation.")
            return original(self)

        return call

    return build


def _by_id(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, key_id: str, *rest: Any, **named: Any) -> Any:
        return original(self, key_id.rpartition(":key/")[2], *rest, **named)

    return call


def apply() -> None:
    """Install the patch, over the one of ``kms``."""
    for name, use in _USES.items():
        replace(KmsResponse, name, _usable(use))
    for name in _BY_ID:
        replace(KmsBackend, name, _by_id)
