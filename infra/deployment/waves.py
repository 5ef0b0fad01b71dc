"""Which steps of a plan can be carried out at once: a stack that goes to many accounts and Regions waits for none of its twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from infra.deployment.operations import DeployError
from infra.deployment.plan import Step

AT_ONCE = 8


def waves(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps in order, those of one stack in different places together. The order between stacks is that of ``infra/deployment.yaml``."""
    return [list(group) for _, group in groupby(steps, key=lambda step: (step.stack, step.template))]


def carry_out(
    wave: Sequence[Step], apply: Callable[[Step], dict[str, str]], *, at_once: int = AT_ONCE
) -> list[dict[str, str]]:
    """Outputs of each step of a wave, in its order. Every step is tried; then :class:`DeployError` names all that failed."""
    if len(wave) == 1:
        return [apply(wave[0])]
    with ThreadPoolExecutor(max_workers=min(at_once, len(wave))) as pool:
        futures = [pool.submit(apply, step) for step in wave]
    made, failed = [], []
    for future in futures:
        try:
            made.append(future.result())
        except DeployError as error:
            failed.append(str(error))
    if len(failed) == 1:
        raise DeployError(failed[0])
    if failed:
        lines = "\n".join(f"  - {line}" for line in failed)
        msg = f"{len(failed)} of {len(wave)} places failed, the others are done:\n{lines}"
        raise DeployError(msg)
    return made
