"""Which steps of a plan wait for which, and carrying them out: at once where none waits for the other, a failure stops what needs it alone.

A step needs what its parameters take from (outputs), the upload where its template or what it names comes from the release, and what
``infra/deployment.yaml`` says under ``after``. Of a stack that is in many places only those of the same account count, where it has some there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment.operations import DeployError
from infra.deployment.plan import EVERYTHING, Step

AT_ONCE = 8
# step's number in the plan, from 0 → numbers of the steps that it waits for
Needs = Mapping[int, frozenset[int]]


def needs(steps: Sequence[Step]) -> Needs:
    """What each step waits for; always earlier steps, so that the plan's own order is one of those that it allows."""
    return {number: frozenset(_needs(steps, number)) for number in range(len(steps))}


def _needs(steps: Sequence[Step], number: int) -> set[int]:
    step, before = steps[number], range(number)
    if EVERYTHING in step.after:
        return set(before)
    found: set[int] = set()
    for stack in step.after:
        places = [n for n in before if steps[n].stack == stack]
        here = [n for n in places if steps[n].account_id == step.account_id]
        found |= set(here or places)
    return found


def text(steps: Sequence[Step]) -> str:
    """The steps in the order in which they can be begun, those of a line at once."""
    found, rank = needs(steps), dict[int, int]()
    for number in range(len(steps)):
        rank[number] = 1 + max((rank[n] for n in found[number]), default=0)
    lines = ["at once, where nothing before has failed:"]
    for level in range(1, max(rank.values(), default=0) + 1):
        names = list(dict.fromkeys(steps[n].stack for n in rank if rank[n] == level))
        lines.append(f"  {level:2}. {', '.join(names)}")
    return "\n".join(lines) + "\n"


def carry_out(steps: Sequence[Step], apply: Callable[[Step], object], *, at_once: int = AT_ONCE) -> None:
    """Every step once all that it needs is done. Raises :class:`DeployError` at the end: what failed and what was not tried for it."""
    waiting, done, failed = dict(needs(steps)), set[int](), dict[int, str]()
    running: dict[Future[object], int] = {}
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        try:
            while waiting or running:
                for number in [n for n, needed in waiting.items() if needed <= done][: at_once - len(running)]:
                    del waiting[number]
                    running[pool.submit(apply, steps[number])] = number
                if not running:
                    break  # what is left needs what has failed
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    number = running.pop(future)
                    try:
                        future.result()
                        done.add(number)
                    except (DeployError, BotoCoreError, ClientError) as error:
                        failed[number] = str(error)
        except BaseException:
            # a person who ends it, or a defect: what runs comes to its end, nothing more is begun
            pool.shutdown(cancel_futures=True)
            raise
    if failed:
        raise DeployError(_message(steps, failed, sorted(waiting)))


def _message(steps: Sequence[Step], failed: Mapping[int, str], left: Sequence[int]) -> str:
    causes = [failed[n] for n in sorted(failed)]
    if len(causes) == 1:
        said = causes[0]
    else:
        said = f"{len(causes)} of {len(steps)} steps failed:\n" + "\n".join(f"  - {line}" for line in causes)
    if not left:
        return said
    names = ", ".join(dict.fromkeys(steps[n].stack for n in left))
    return f"{said}\nNot tried, because they need it: {names}. What does not need it is done; run this again, it goes on from here"
