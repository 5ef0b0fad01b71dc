"""The matrix of ``make userland-check``: what it holds, and that its judgement can fail."""

from __future__ import annotations

import pytest

from lab.scenarios.userland_check import CORE, judge
from lab.userland.conditions import CONDITIONS, Condition
from lab.userland.host import Done
from lab.userland.systems import USERLANDS, Userland
from tests.unit.memory.live_archives import archive

WHOLE = dict.fromkeys(CORE, b"zz-planted")


def done(members: dict[str, bytes], **status: object) -> Done:
    """A run that ended with this archive and status line."""
    return Done(0, dict(status), "", "", 1.0, {"/part1": archive(members)})


def test_there_are_so_many_userlands_and_conditions_as_the_documents_say() -> None:
    assert len({u.name for u in USERLANDS}) == len(USERLANDS) == 17
    assert len({c.name for c in CONDITIONS}) == len(CONDITIONS) == 36


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (done(WHOLE, status="ok", reason=""), ""),
        (done(WHOLE), "no status line"),
        (done(WHOLE, status="partial", reason=""), "partial without a reason"),
        (done(WHOLE, status="failed", reason="no"), "failed: no"),
        (done({**WHOLE, "43-kernel-log": b""}, status="ok", reason=""), "ok without 43-kernel-log"),
        (done({**WHOLE, "43-kernel-log": b""}, status="partial", reason="43-kernel-log failed"), ""),
        (done(dict.fromkeys(CORE, b"x"), status="ok", reason=""), "'zz-planted' is neither found nor named"),
    ],
)
def test_a_run_is_judged(found: Done, wrong: str) -> None:
    said = judge(found, Userland("u"), Condition("usual"))
    assert (said == []) if not wrong else any(wrong in text for text in said)
