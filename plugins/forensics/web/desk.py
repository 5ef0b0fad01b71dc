"""What the person who looks at a case's page may do on it."""

from __future__ import annotations

import secrets

from forensics.report.page import Desk, RightRow
from forensics.web.access import PERMISSIONS, Right, Visitor

# The rights that let a person start a DAG from the page.
_STARTS = (Right.RELEASE, Right.EXPORT, Right.PROFILE)


def desk_of(visitor: Visitor, *, airflow: str, remarks: str, download: str) -> Desk:
    """The visitor's rights, and the addresses of what they allow; ``airflow`` is that of Airflow's UI.

    ``remarks`` is where remarks are sent, ``download`` what a stored object's path is put behind; empty where there is no such thing.
    """
    rows = [RightRow(p.role, p.gives, p.words, visitor.may(right)) for right, p in PERMISSIONS.items()]
    return Desk(
        person=str(visitor.person),
        rights=rows,
        remarks=remarks if visitor.may(Right.RESPOND) else "",
        once=secrets.token_hex(8),
        airflow=airflow,
        dags=frozenset(PERMISSIONS[right].dag_id for right in _STARTS if visitor.may(right)),
        download=download,
        artifacts=visitor.may(Right.RESPOND),
    )
