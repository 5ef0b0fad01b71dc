"""Whether the release that is deployed reads what open cases hold, asked before anything is changed (docs/upgrade.md, "Going back").

Every item of every open case is read by the models of this checkout, as Airflow would read it: an item of a newer schema, or with a value
that this release does not know, would stop its case red at the step that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from forensics.aws.case_store import CaseStore
from forensics.errors import ForensicsError, StoredItemError
from infra.deployment import day_two
from infra.deployment.configuration import Configuration
from infra.deployment.operations import Ask, DeployError
from infra.deployment.plan import Step
from infra.deployment.stacks import Clients
from infra.deployment.stored_kinds import READERS, kind_of, read

NAMED = 20
WAY = (
    "Stay on the release that is deployed, or deploy it again, and go back when these cases are closed (docs/upgrade.md, Going back). Cases that are closed"
    " are not concerned"
)


def problems(store: CaseStore) -> Iterator[str]:
    """A line for each item of an open case that this release cannot read."""
    try:
        cases = list(store.open_cases())
    except StoredItemError as error:
        yield f"the record of an open case: {error.message}"
        return
    for case_id in cases:
        for key, data in store.items(case_id):
            if kind_of(key) in READERS and data is not None:
                try:
                    read(key, data)
                except StoredItemError as error:
                    yield f"case {case_id}, item {key}: {error.message}"


def refuse(
    steps: Sequence[Step], clients: Clients, config: Configuration, *, ask: Ask, report: Callable[[str], None] = print
) -> None:
    """Raises :class:`DeployError` when an open case holds what this release cannot read, or when nobody can say."""
    known = day_two.case_table(steps, clients)
    if known is None:
        return
    step, table = known
    table = str(config.value_of("CaseTable", "forensic") or table)
    try:
        store = CaseStore(clients(step.account_id, step.region, "dynamodb"), table=table)
        found = list(problems(store))
    except (ForensicsError, ClientError, BotoCoreError) as error:
        msg = (
            f"whether this release reads what open cases hold cannot be seen in table {table}: {error}. Give the profile dynamodb:Query on it"
            " (and the use of its key through DynamoDB), or answer yes (--yes) where it is not an older release"
        )
        if not ask(f"{msg}. Deploy all the same?"):
            raise DeployError(f"nothing was changed: {msg}") from error
        return
    if found:
        more = f"\n  - and {len(found) - NAMED} more" if len(found) > NAMED else ""
        lines = "\n".join(f"  - {line}" for line in found[:NAMED]) + more
        msg = f"nothing was changed, because this release cannot read what open cases hold:\n{lines}\n{WAY}"
        raise DeployError(msg)
    report("what open cases hold is read by this release")
