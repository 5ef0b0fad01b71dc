"""``make iam-check``, second part: the product's steps under the templates' policies, each statement taken away once.

First every step is played with all statements in place; the record says which step is the first to need which statement. Then, in a
fresh lab, each statement is taken away in turn right before that step: the step must fail, or tell people what was refused. Exit
status 0 only when no statement is left that nothing needs and is not in ``unused.yaml`` with its reason.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import create_autospec, patch

import pytest
import yaml
from airflow.providers.standard.operators import hitl

from forensics.settings import get_settings
from forensics.triage import target_description
from lab.accounts import MEMBER_ACCOUNT, ROOT_SECRET, root_access_key
from lab.emulator.iam.check import Place, check
from lab.evidence.images import Images
from tests.containment.world import World
from tests.iam import recording
from tests.iam.removal import Play, Say, first_needs
from tests.iam.story import PIPELINE, Story
from tests.integration.conftest import running_lab

EXPLAINED = Path(__file__).with_name("unused.yaml")
# The story asks once for what people and timers ask for in weeks.
SETTINGS = {
    "IMAGE_PIPELINE_ARN": PIPELINE, "ARCHIVE_GUARDDUTY": "true", "ISOLATION_CAP_ALL": "1000", "ISOLATION_CAP_ACCOUNT": "1000",
    "ISOLATION_CAP_GROUP": "1000",
}  # fmt: skip
LATENCIES = {"instance_seconds": 0.2, "terminate_seconds": 0.0, "snapshot_seconds": 0.2, "copy_seconds": 0.2}


@contextmanager
def played(cache: Path, log: Say) -> Iterator[Play]:
    """A fresh lab made by the templates, with enforcement on."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as change:
        change.setenv("LAB_DEPLOY", "templates")
        with running_lab(Path(folder), change, images=Images(cache)) as lab:
            for name, value in SETTINGS.items():
                change.setenv(f"AIRFLOW__FORENSICS__{name}", value)
            get_settings.cache_clear()
            lab.control("config", LATENCIES)
            # the story's new targets have no agent, and half a minute for each would be for nothing
            change.setattr(target_description, "PING_SETTLES_WITHIN", 1.0)
            world = World(lab.endpoint, access_key=root_access_key(MEMBER_ACCOUNT), secret_key=ROOT_SECRET)
            runs = Path(folder) / "runs"
            runs.mkdir()
            # a running API server is needed to ask a person; the answer is given to the step directly
            with patch.object(hitl, "upsert_hitl_detail", create_autospec(hitl.upsert_hitl_detail)):
                yield Play(Story(lab, world, runs), log)


def timed(began: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def needs_of(
    cache: Path, say: Say, *, until: str, record: bool = False
) -> tuple[dict[str, list[Place]], list[str], list[str]]:
    """Play with every statement in place: who first needs which, what nothing needed, and what did not pass."""
    with played(cache, say) as play:
        policies = play.story.lab.control("iam")["policies"]
        play.through({}, policies, until=until)
        asked = [item for _, items in play.records for item in items]
        if record:
            say(f"{recording.write(asked)} questions of the member account's roles are in {recording.FILE.name}")
        report = check({"asked": asked, "policies": policies})
    return first_needs(play.records, policies), [*report.unused, *report.unused_actions], play.problems


def unexplained(unused: list[str]) -> list[str]:
    """What nothing needed and ``unused.yaml`` does not explain, and explanations that nothing needs."""
    known = {entry["what"]: entry["why"] for entry in yaml.safe_load(EXPLAINED.read_text("utf-8"))}
    short = [name.partition("/")[2] for name in unused]
    missing = [
        f"nothing needs {name}: remove it, or say why it stays in {EXPLAINED.name}"
        for name in short
        if name not in known
    ]
    return missing + [
        f"{EXPLAINED.name} explains {name}, which is needed: remove the entry" for name in known if name not in short
    ]


def main() -> int:
    """Play twice and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.iam", description="Least privilege, proven.")
    parser.add_argument("--cache", type=Path, default=Path(".lab/cache"), help="where evidence images are kept")
    parser.add_argument("--once", action="store_true", help="play with every statement in place, and stop")
    parser.add_argument("--until", default="", help="the last step to play; what later steps need is then not judged")
    parser.add_argument(
        "--record", action="store_true", help="write what the service control policies are held against"
    )
    given = parser.parse_args()
    say = timed(time.monotonic())
    say("first: every step with every statement in place")
    needs, unused, problems = needs_of(given.cache, say, until=given.until, record=given.record)
    wrong = problems + ([] if given.until else unexplained(unused))
    say(f"{sum(map(len, needs.values()))} statements are needed, {len(unused)} statements and actions are not")
    for line in wrong:
        say(f"WRONG: {line}")
    if given.once:
        return 1 if wrong else 0
    say("second: each statement taken away right before the step that first needs it")
    with played(given.cache, say) as second:
        verdicts = second.through(needs, second.story.lab.control("iam")["policies"], until=given.until)
    left = [f"without {v.place}, {v.step} {v.how}: {v.words[:300]}" for v in verdicts if not v.proven]
    for line in [*second.problems, *left]:
        say(f"WRONG: {line}")
    proven = Counter(v.how for v in verdicts)
    say(
        f"{len(verdicts)} statements taken away, one at a time: {dict(proven)}; {len(wrong) + len(left) + len(second.problems)} wrong"
    )
    return 1 if wrong or left or second.problems else 0


if __name__ == "__main__":
    sys.exit(main())
