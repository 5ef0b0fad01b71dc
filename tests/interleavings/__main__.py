"""``make intake-check``: seeded stories of intake, watchdog and runs under the deterministic scheduler; 0 lost, 0 doubled.

``make twins-check``: two workers at once on one step; the end is that of one. A story that fails is printed with its seed; ``--seed N --count 1`` plays it again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.interleavings.play import Story, play
from tests.interleavings.twins import play_twins

CHUNK = 200


def twins(first: int, count: int) -> tuple[int, int, list[str]]:
    """Calls, kills and the broken stories of some seeds of two workers."""
    logging.disable(logging.CRITICAL)
    stories = [play_twins(seed) for seed in range(first, first + count)]
    return sum(len(s.trace) for s in stories), sum(s.killed for s in stories), [str(s) for s in stories if s.faults]


def chunk(first: int, count: int) -> tuple[int, int, list[str]]:
    """Requests, kills and the broken stories of some seeds."""
    logging.disable(logging.CRITICAL)  # the product says much about what the story does to it
    stories = [play(seed) for seed in range(first, first + count)]
    return sum(s.requests for s in stories), sum(s.kills for s in stories), [str(s) for s in stories if s.faults]


def _chunks(first: int, count: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, first + count, CHUNK):
        yield begin, min(CHUNK, first + count - begin)


def main(arguments: list[str] | None = None) -> int:
    """Play; exit status 0 only when every story held."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument("--twins", action="store_true", help="two workers at once on one step instead")
    parser.add_argument("--count", type=int, default=100_000, help="stories (default 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first story")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    began, done, requests, kills, broken = time.monotonic(), 0, 0, 0, list[str]()
    with ProcessPoolExecutor(given.workers) as pool:
        work = list(_chunks(given.seed, given.count))
        of = twins if given.twins else chunk
        for (_, count), (asked, killed, bad) in zip(work, pool.map(of, *zip(*work, strict=True)), strict=True):
            done, requests, kills = done + count, requests + asked, kills + killed
            broken += bad
            for story in bad[: max(0, 5 - len(broken) + len(bad))]:
                print(story, file=sys.stderr)
            if done % (5 * CHUNK) == 0:
                passed = time.monotonic() - began
                left = passed / done * (given.count - done) / 60
                said = (
                    f"{done} stories, {len(broken)} broken; {done / passed:.0f} a second, {left:.0f} minutes are left"
                )
                print(f"[{passed:6.0f} s] {said}", file=sys.stderr)
    print(f"{done} stories, {requests} requests, {kills} kills: {len(broken)} broken; first seed {given.seed}")
    return 1 if broken or not done else 0


__all__ = ["Story", "main"]

if __name__ == "__main__":
    sys.exit(main())
