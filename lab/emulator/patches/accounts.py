"""Which account is calling: the lab's own root keys, IAM keys, keys of assumed roles, presigned URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import moto.core.responses
import moto.iam.models
from moto.iam.models import iam_backends

from lab.accounts import FORENSIC_ACCOUNT, ROOT_SECRET
from lab.emulator.patches import state
from lab.emulator.patches.patching import PatchError, replace

_ROOT_KEY = re.compile(r"AKIA(\d{12})ROOT")


def account_of(access_key: str) -> str:
    """The account that owns a key; an unknown key belongs to the forensic account."""
    root = _ROOT_KEY.fullmatch(access_key)
    if root:
        return root.group(1)
    found = find_key(access_key)
    return found[0] if found else FORENSIC_ACCOUNT


def is_root(access_key: str) -> bool:
    """Whether this is a root key: of the lab's seed, or of a test that looks from outside."""
    return bool(_ROOT_KEY.fullmatch(access_key))


def from_outside(access_key: str) -> bool:
    """Whether a call is the lab's own hand, for which everything has existed for long (``lab/emulator/visibility.py``)."""
    return is_root(access_key) and not state.current().config.hidden_from_root


def find_key(access_key: str) -> tuple[str, Any] | None:
    """(account, moto's AccessKey) of a key that IAM or STS made, or None."""
    for account, partitions in list(iam_backends.items()):
        # a backend appears when it is asked for, so look only at those that exist
        for backend in list(partitions.values()):
            key = backend.access_keys.get(access_key)
            if key is not None:
                return account, key
    return None


def secret_of(access_key: str) -> str | None:
    """The secret that belongs to a key, or None when the lab does not know it."""
    if _ROOT_KEY.fullmatch(access_key):
        return ROOT_SECRET
    found = find_key(access_key)
    return found[1].secret_access_key if found else None


def _get_access_key(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def get_access_key(self: Any) -> str:
        # stock moto reads the key of a SigV2 query only, so every presigned URL came from the default account
        credential = self.querystring.get("X-Amz-Credential")
        if credential and "Authorization" not in self.headers:
            return credential[0].split("/")[0]
        return original(self)

    return get_access_key


def apply() -> None:
    """Install the patch. Raises PatchError when the environment pins one account for all calls."""
    if os.environ.get("MOTO_ACCOUNT_ID"):
        raise PatchError(
            "MOTO_ACCOUNT_ID is set: moto would then answer every call as that one account; "
            "unset it, the lab takes the account from the access key"
        )
    replace(moto.iam.models, "get_account_id_from", lambda _original: account_of)
    replace(moto.core.responses.BaseResponse, "get_access_key", _get_access_key)
