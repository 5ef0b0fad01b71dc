"""The requests that one case makes of AWS, by account, service and action: ``python -m tests.crash.counted`` writes ``infra/requests_of_a_case.json``.

The story's first case is played once, undisturbed, against the lab in this process. Looks of waits are in it as often as the lab's short waits
ask for them; what a storm of waits asks is bounded elsewhere (``forensics.aws.look_budget``, ``forensics.aws.shared_looks``).

With ``--check`` nothing is written: the exit status says whether a task reads the case store more often than :data:`MOST_READS` allows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import get_account_id_from

from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT, SECURITY_ACCOUNT
from lab.evidence.images import Images
from tests.crash import inside
from tests.crash.__main__ import story
from tests.integration.conftest import SmallImages

FILE = Path(__file__).parents[2] / "infra" / "requests_of_a_case.json"
# Keys that moto does not know are the environment's own, and the environment is in the forensic account.
ACCOUNTS = {
    MEMBER_ACCOUNT: "member",
    FORENSIC_ACCOUNT: "forensic",
    SECURITY_ACCOUNT: "security",
    DEFAULT_ACCOUNT_ID: "forensic",
}
LAST = "forensic_case.report.close_case"
# Requests of one task that read the case store, all its tries and resumptions together; a fifth more than was counted.
MOST_READS = {
    "report.close_case": 90, "disk.copy_snapshots": 72, "report.write_report": 54, "containment.isolate_target": 52,
    "investigation.analyse_memory": 44, "investigation.analyse_disk": 40,
    "cloud_evidence.extend_records": 50, "investigation.compare_disk": 46,
}  # fmt: skip
MOST_READS_OF_OTHERS, MOST_READS_IN_ALL = 36, 800
# A small disk has no file system: it is not examined, there is nothing to compare, and the case closes with these gaps.
SMALL = ("no file system on this volume", "no disk has results", "the case is closed with 3 gaps")
READS = frozenset({"GetItem", "Query", "TransactGetItems", "BatchGetItem", "Scan"})
_SIGNED = re.compile(r"Credential=(?P<key>[^/]+)/\d+/[^/]+/(?P<service>[^/]+)/")
# Actions of REST services, by what their requests are.
_REST = (
    (r"^GET /snapshots/[^/]+/blocks/", "GetSnapshotBlock"),
    (r"^GET /snapshots/[^/]+/blocks", "ListSnapshotBlocks"),
    (r"^GET /snapshots/[^/]+/changedblocks", "ListChangedBlocks"),
)
Key = tuple[str, str, str]


def key(request: Any) -> Key | None:
    """(account, service, action) of a request of botocore; None of one that nobody signed."""
    headers = {name.lower(): v.decode() if isinstance(v, bytes) else str(v) for name, v in request.headers.items()}
    signed = _SIGNED.search(headers.get("authorization", ""))
    if signed is None:
        return None
    named = inside._named(request)
    action = named.removeprefix("Action=").rpartition(".")[2] if " " not in named else ""
    action = action or next((name for form, name in _REST if re.search(form, named)), named.split(" ")[0])
    account = get_account_id_from(signed["key"])
    return ACCOUNTS.get(account, account), signed["service"], action


@contextmanager
def counting(wire: inside.Wire) -> Iterator[Counter[Key]]:
    """Counts what passes a wire."""
    found: Counter[Key] = Counter()
    send = wire.send

    def counted(request: Any) -> Any:
        if what := key(request):
            found[what] += 1
        return send(request)

    wire.send = counted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        wire.send = send  # type: ignore[method-assign]


def as_json(found: Counter[Key]) -> str:
    """The file: account → service → action → requests."""
    tree: dict[str, dict[str, dict[str, int]]] = {}
    for (account, service, action), number in sorted(found.items()):
        tree.setdefault(account, {}).setdefault(service, {})[action] = number
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"


def over_bounds(reads: Counter[str]) -> list[str]:
    """The tasks that read the case store too often."""
    found = {name: number for name, number in reads.items() if number > MOST_READS.get(name, MOST_READS_OF_OTHERS)}
    if reads.total() > MOST_READS_IN_ALL:
        found["all tasks"] = reads.total()
    return [f"{name} reads the case store {number} times" for name, number in sorted(found.items())]


def main(arguments: list[str] | None = None) -> int:
    """Play, and write or check; exit status 1 when a step failed or a task reads too often."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.counted", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and hold the reads of the case store against their bounds"
    )
    given = parser.parse_args(arguments)
    # with small images the tools have little to do, and the tasks read as often
    images = SmallImages(Path(".lab/cache")) if given.check else Images(Path(".lab/cache"))
    problems, reads = list[str](), Counter[str]()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the product logs to standard output
    with tempfile.TemporaryDirectory() as folder, story(Path(folder), images, seed=1) as (lab, told):
        total: Counter[Key] = Counter()
        for step in told.steps():
            step.prepare()
            step.renew()
            lab.wire.begin()
            lab.hosts.listen()
            with counting(lab.wire) as found:
                try:
                    step.run()
                except Exception as error:
                    problems.append(f"{step.name}: {type(error).__name__}: {error}")
            # "(…)": steps of other cases, for what theirs ask beside
            if step.name.startswith(("finding_intake.receive", "forensic_case.")) and "(" not in step.name:
                total += found
                reads[step.name.partition(".")[2]] += sum(
                    number
                    for (_, service, action), number in found.items()
                    if service == "dynamodb" and action in READS
                )
            if step.name == LAST:
                break
        if not given.check:
            FILE.write_text(as_json(total), "utf-8")
    if given.check:
        problems = [problem for problem in problems if not any(words in problem for words in SMALL)]
    for problem in [*problems, *over_bounds(reads)]:
        print(f"PROBLEM: {problem[:500]}", file=sys.stderr)
    most = ", ".join(f"{name} {number}" for name, number in reads.most_common(6))
    print(
        f"{sum(total.values())} requests of {len(total)} kinds; {reads.total()} read the case store: {most}",
        file=sys.stderr,
    )
    return 1 if problems or (given.check and over_bounds(reads)) else 0


if __name__ == "__main__":
    sys.exit(main())
