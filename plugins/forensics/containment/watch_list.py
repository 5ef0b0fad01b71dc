"""The targets that are contained now: what the watchdog looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.models.base import Model
from forensics.models.case import Case
from forensics.models.containment import ContainmentResult, ReleaseResult
from forensics.models.evidence import Outcome
from forensics.naming import WATCHDOG


class WatchedTarget(Model):
    """A case whose target is contained."""

    case_id: str


def watch(store: CaseStore, case_id: str, result: ContainmentResult) -> None:
    """The target's network is closed, by this deployment or another: from now on it is looked at."""
    if result.network_closed or result.held_elsewhere:
        store.put(WATCHDOG, f"{case_keys.CONTAINED}{case_id}", WatchedTarget(case_id=case_id))


def unwatch(store: CaseStore, case_id: str) -> None:
    """The target is about to be released, or is gone: what changes on it from now on is no drift."""
    store.remove(WATCHDOG, f"{case_keys.CONTAINED}{case_id}")
    store.remove(case_id, case_keys.DRIFT)


def is_watched(store: CaseStore, case_id: str) -> bool:
    """Whether the target is on the list."""
    return store.has(WATCHDOG, f"{case_keys.CONTAINED}{case_id}")


def watched_cases(store: CaseStore) -> Iterator[str]:
    """The cases on the list."""
    for _, data in store.items(WATCHDOG, case_keys.CONTAINED):
        yield WatchedTarget.stored(data).case_id


def complete_list(store: CaseStore, cases: Callable[[], Iterable[Case]]) -> None:
    """Put targets on the list that an earlier release contained; all cases are read once in a table's life."""
    if store.has(WATCHDOG, case_keys.WATCH_LIST_COMPLETE):
        return
    for case in cases():
        result = store.get(case.case_id, case_keys.CONTAINMENT, ContainmentResult)
        release = store.get(case.case_id, case_keys.RELEASE, ReleaseResult)
        contained_again = bool(
            result
            and release
            and result.contained_at
            and release.released_at
            and result.contained_at > release.released_at
        )
        if result and (release is None or release.outcome is not Outcome.DONE or contained_again):
            watch(store, case.case_id, result)
    store.put_once(WATCHDOG, case_keys.WATCH_LIST_COMPLETE, {})
