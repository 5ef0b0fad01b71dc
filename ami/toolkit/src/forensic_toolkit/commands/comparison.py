"""The ``compare`` command: dissect reads a volume that the quick profile has examined, and the two counts are compared.

A command of its own, after the quick profile's: what that found is published while this one runs. It has its own limit, and whatever
keeps the comparison from being made is a gap of its results.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.results import Event, Results
from forensic_toolkit.runners import dissect_program
from forensic_toolkit.times import now

# The name in the manifest of the results.json that the quick profile wrote of this volume.
QUICK_RESULTS = "quick"
# In the counts of the results: whether the comparison was made.
COMPARED = "compared"
MAX_RESULTS = 64 << 20
# Other tools may still work towards their first answers on this machine.
NICENESS = 19


def run(device: Path, quick: Path | None, *, results: Results, raw: Path) -> None:
    """Count dissect's records and compare them with what the quick profile counted.

    Raises EvidenceError when there are no results to compare with.
    """
    results.counts[COMPARED] = 0
    expected = comparable(quick)
    if not any(expected.values()):
        results.note("dissect", "nothing to compare: the quick profile counted no records that dissect reads as well")
        _event(results, "Not compared with dissect: there is nothing that both read")
        return
    running = dissect_program.start(device, raw=raw, results=results)
    if running is None:
        _event(results, "Not compared with dissect: it is not installed")
        return
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, running.process.pid, NICENESS)
    rows = dissect_program.finish(running, results=results, expected=expected)
    results.counts[COMPARED] = 1
    for function, count in expected.items():
        results.counts[f"toolkit_{function}"] = count
        results.counts[f"dissect_{function}"] = rows[function]
    _event(results, "Compared with dissect, the second reader of this volume")


def comparable(quick: Path | None) -> dict[str, int]:
    """Records by dissect function, as the quick profile's results.json has them."""
    if quick is None:
        raise EvidenceError(f"the manifest offers no results of the quick profile ('{QUICK_RESULTS}') to compare with")
    if quick.stat().st_size > MAX_RESULTS:
        raise EvidenceError(f"the quick profile's results have more than {MAX_RESULTS} bytes")
    try:
        document = json.loads(quick.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"the quick profile's results are not JSON: {error}") from error
    found = document.get("comparable") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise EvidenceError("the quick profile's results do not say what can be compared: they are of another release")
    return {name: found[name] for name in dissect_program.FUNCTIONS if isinstance(found.get(name), int)}


def _event(results: Results, what: str) -> None:
    results.events.append(Event(now(), what, "toolkit", "Examined"))
