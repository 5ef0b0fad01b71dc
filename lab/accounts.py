"""The lab's AWS accounts and the keys that act as their roots."""

from __future__ import annotations

import re

REGION = "eu-central-1"
SECURITY_ACCOUNT = "111122223333"
FORENSIC_ACCOUNT = "222233334444"
MEMBER_ACCOUNT = "333344445555"
# Nothing runs there: it holds the organization and its policies.
MANAGEMENT_ACCOUNT = "444455556666"
# The secret of every root key. It opens nothing but an emulator on this machine.
ROOT_SECRET = "lab-secret-of-every-root-key"


def root_access_key(account: str) -> str:
    """Return the access key id that acts as the root of ``account``; its secret is :data:`ROOT_SECRET`.

    Raises ValueError when ``account`` does not have 12 digits.
    """
    if not re.fullmatch(r"\d{12}", account):
        raise ValueError(f"an account id has 12 digits; got {account!r}")
    return f"AKIA{account}ROOT"
