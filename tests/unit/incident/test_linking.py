"""Linking: both cases know, people are told once, and a second run changes nothing."""

from __future__ import annotations

from forensics import case_keys
from forensics.incident.linking import link_case
from forensics.models.case import CaseView
from forensics.models.indicators import Indicator, LinkedCase
from forensics.models.results import Confidence
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored

OTHER = "fc-20261101-aaaaaaaaaa"


class Memory:
    """An index in memory."""

    def __init__(self) -> None:
        self.known: dict[str, set[str]] = {}

    def add(self, case_id: str, indicator: Indicator) -> None:
        self.known.setdefault(indicator.name, set()).add(case_id)

    def cases(self, indicator: Indicator, *, limit: int) -> list[str]:
        return sorted(self.known.get(indicator.name, ()))[:limit]


def attacked(*peers: str) -> CaseView:
    view = sample.complete_view()
    return view.model_copy(update={"findings": tuple(f.model_copy(update={"peers": peers}) for f in view.findings)})


def test_a_case_that_shares_indicators_is_linked_in_both_records_and_told_once() -> None:
    index, recorder = Memory(), Stored(attacked("192.0.2.9", "198.51.100.4"))
    for name in ("address#192.0.2.9", "address#198.51.100.4"):
        index.known[name] = {OTHER}
    (link,) = link_case(recorder, index)
    assert (link.case_id, link.confidence) == (OTHER, Confidence.MEDIUM)
    assert {i.value for i in link.shared} == {"192.0.2.9", "198.51.100.4"}
    mine = recorder.get(f"{case_keys.LINKED}{OTHER}", LinkedCase)
    theirs = recorder.store.get(OTHER, f"{case_keys.LINKED}{recorder.case_id}", LinkedCase)
    assert (
        mine and theirs and (mine.case_id, theirs.case_id) == (OTHER, recorder.case_id) and theirs.shared == mine.shared
    )
    assert recorder.case_id in index.known["address#192.0.2.9"], "the next case finds this one"
    told = len(recorder.mailbox.mail)
    assert told == 1 and OTHER in " ".join(recorder.mailbox.mail[0].lines)
    link_case(recorder, index)
    assert len(recorder.mailbox.mail) == told


def test_a_weak_link_is_recorded_and_wakes_nobody() -> None:
    index, recorder = Memory(), Stored(attacked("192.0.2.9"))
    index.known["address#192.0.2.9"] = {OTHER}
    (link,) = link_case(recorder, index)
    assert link.confidence is Confidence.LOW and not recorder.mailbox.mail


def test_without_shared_indicators_there_is_no_link() -> None:
    recorder = Stored(attacked("192.0.2.9"))
    assert link_case(recorder, Memory()) == []
