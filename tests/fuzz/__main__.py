"""``make fuzz``: seeded mutations of valid events against the intake's parsers; prints its figures.

``python -m tests.fuzz [--count N] [--seed N] [--only NUMBER]``; exit status 1 when an answer is one that must not be.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from datetime import UTC, datetime

from forensics.intake.readers import read_event
from forensics.models.intake import IntakeResult
from tests.fuzz.mutate import Mutator
from tests.fuzz.oracle import ADMINISTRATORS, OWN_ACCOUNT, Violation, check

RECEIVED_AT = datetime(2026, 10, 5, 8, 16, tzinfo=UTC)
SHOWN = 10


def read(text: str) -> IntakeResult:
    """Read as the deployment under test would."""
    return read_event(
        text, received_at=RECEIVED_AT, own_account=OWN_ACCOUNT, administrators=ADMINISTRATORS, accept_samples=True
    )


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--only", type=int, help="repeat one input and show it")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    mutator = Mutator(args.seed)
    if args.only is not None:
        what, text = mutator.body(args.only)
        print(f"{what}\n{text}\n{read(text).model_dump_json(indent=1)}")
        check(text, read(text))
        return 0
    print(f"[fuzz] {args.count} inputs, seed {args.seed}: mutations of the events in tests/data/events", flush=True)
    verdicts: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, began = 0.0, time.monotonic()
    for number in range(args.count):
        what, text = mutator.body(number)
        start = time.perf_counter()
        intake = read(text)
        slowest = max(slowest, time.perf_counter() - start)
        verdicts[intake.verdict.value] += 1
        try:
            check(text, intake)
        except Violation as violation:
            wrong.append(f"  --only {number}: {violation} ({what})")
        if (number + 1) % 20_000 == 0:
            print(f"[fuzz] {number + 1} read, {len(wrong)} wrong", flush=True)
    seconds = time.monotonic() - began
    shares = ", ".join(f"{name} {count} ({count / args.count:.0%})" for name, count in sorted(verdicts.items()))
    print(
        f"[fuzz] {args.count} inputs in {seconds:.1f} s ({args.count / seconds:.0f}/s), slowest {slowest * 1000:.1f} ms"
    )
    print(f"[fuzz] {shares}")
    print("\n".join([f"[fuzz] {len(wrong)} wrong answers", *wrong[:SHOWN]]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
