"""What the person who looks at a case's page may do on it."""

from __future__ import annotations

import secrets

from forensics.report.page import Desk, RightRow
from forensics.web.access import PERMISSIONS, Right, Visitor


def desk_of(visitor: Visitor, *, remarks: str, download: str) -> Desk:
    """The visitor's rights, and the addresses of what they allow.

    ``remarks`` is where remarks are sent, ``download`` what a stored object's path is put behind; empty where there is no such thing.
    """
    rows = [RightRow(p.role, p.gives, p.words, visitor.may(right)) for right, p in PERMISSIONS.items()]
    return Desk(
        person=str(visitor.person),
        rights=rows,
        remarks=remarks if visitor.may(Right.RESPOND) else "",
        once=secrets.token_hex(8),
        download=download,
        artifacts=visitor.may(Right.RESPOND),
    )
