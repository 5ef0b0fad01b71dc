"""The target's questions are found in files among others', and broken files are named."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

from forensics.cloud_evidence.line_collection import LineSpool, search_lines
from forensics.cloud_evidence.query_filter import FUNCTION, QuerySelectOrder
from forensics.cloud_evidence.trail_selection import LogObject
from lab.evidence.query_records import Asked, lines

AT = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
ACCOUNT, ME, MINE = "333344445555", "i-0123456789abcdef0", "10.20.0.5"
ORDER = QuerySelectOrder(
    account_id=ACCOUNT, instance_id=ME, addresses=(MINE,), begin=AT - timedelta(hours=1), end=AT + timedelta(hours=1)
)


def text(*asked: Asked, account: str = ACCOUNT, instance: str = ME, address: str = MINE) -> str:
    return (
        "\n".join(lines(asked, account=account, region="eu-central-1", vpc="vpc-1", address=address, instance=instance))
        + "\n"
    )


def test_records_of_the_target_and_no_others() -> None:
    asked = Asked(AT, "a.example", ("203.0.113.9",))
    files = {
        "mine": gzip.compress(text(asked).encode()),
        "behind an endpoint": gzip.compress(text(asked, instance="").encode()),
        "another instance with this address": gzip.compress(text(asked, instance="i-0fedcba9876543210").encode()),
        "an answer with the target's address": gzip.compress(
            text(Asked(AT, "b.example", (MINE,)), instance="i-0fedcba9876543210", address="10.20.0.9").encode()
        ),
        "another account": gzip.compress(text(asked, account="999988887777").encode()),
        "too early": gzip.compress(text(Asked(AT - timedelta(days=1), "a.example")).encode()),
        "cut": gzip.compress(text(asked).encode())[:-12],
        "no record": gzip.compress(f"{ME} says hello\n".encode()),
    }
    spool = LineSpool()
    search_lines(FUNCTION, ORDER, [LogObject(n, b) for n, b in files.items()], spool)
    found = {n: r.selected for n, r in spool.reports.items()}
    assert {n for n, count in found.items() if count} - {"cut"} == {"mine", "behind an endpoint"}
    assert spool.reports["another account"].foreign == 1 and spool.reports["no record"].unread == 1
    assert "cut off" in spool.reports["cut"].problem
    kept = gzip.decompress(b"".join(spool.chunks())).decode().splitlines()
    assert kept[0] == text(asked).strip()
    spool.close()
