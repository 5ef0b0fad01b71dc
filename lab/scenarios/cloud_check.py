"""``make cloud-check``: the reading of control-plane records, proven on stories.

Every story's calls are put into log files among a quiet month's, the files go through the search and the reader as a case's do (each in
its confined process), and what is said is held against what happened: the rule, the principal, the time, the effect. Then a quiet month
alone must give no finding of high severity, files that are broken must be named while the rest is read, every documented format is read, and a busy account's trail and
flows are read within the time and memory of a case.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_reader import FUNCTION
from forensics.cloud_evidence.trail_scene import TrailOrder
from forensics.cloud_evidence.trail_selection import LogObject, Spool, search
from forensics.confined import MIB, Confined, Limits
from forensics.models.results import ResultSeverity, ToolFinding
from lab.evidence.trail_records import Json, TrailFiles, log_file
from lab.scenarios.cloud_formats import check_formats
from lab.scenarios.cloud_scale import check_scale
from lab.scenarios.trail_stories import ACCOUNT, ALARM, ELSEWHERE, GROUP, Story, followed, quiet_month, stories

GRAVE = {ResultSeverity.HIGH, ResultSeverity.CRITICAL}
Say = Callable[[str], None]


@dataclass
class Played:
    """What the product said of some calls."""

    reading: LogReading
    spool: Spool
    seconds: float = 0.0

    @property
    def grave(self) -> list[ToolFinding]:
        """Findings of high severity or above."""
        return [f for f in self.reading.findings if f.severity in GRAVE]


def play(calls: Iterable[Json], *, more: Iterable[LogObject] = ()) -> Played:
    """Write calls into log files, search them and read what was found."""
    files = TrailFiles(ACCOUNT.account_id)
    files.write(calls)
    objects = [*(LogObject(name, body) for name, body in sorted(files.files.items())), *more]
    begin, end = ALARM - timedelta(days=40), ALARM + timedelta(days=1)
    began = time.monotonic()
    spool = search(
        SelectOrder(account_id=ACCOUNT.account_id, begin=begin, end=end, followed=followed()), lambda _order: objects
    )
    order = TrailOrder(
        instance_id=ACCOUNT.instance_id, account_id=ACCOUNT.account_id, region=ACCOUNT.region, addresses=("10.20.0.5",),
        exits=(ACCOUNT.home,), groups=(GROUP,), role_name=ACCOUNT.role, alarm=ALARM, followed=spool.followed,
    )  # fmt: skip
    with Confined(FUNCTION, order, limits=Limits(memory=1024 * MIB, cpu_seconds=600)) as child:
        for _ in child.passing(spool.chunks()):
            pass
        reading = child.result(LogReading)
    return Played(reading, spool, time.monotonic() - began)


def named(story: Story, played: Played) -> str:
    """Empty when the story was told rightly; otherwise what is wrong."""
    rule = [f for f in played.reading.findings if f.id.startswith(f"cloudtrail-{story.rule}-")]
    if not rule:
        return f"no finding of {story.rule}; there are {sorted(f.id for f in played.reading.findings)}"
    wanted: dict[str, Callable[[ToolFinding], bool]] = {
        f"principal {story.who}": lambda f: f.data.get("principal") == story.who,
        f"time {story.time}": lambda f: f.time == story.time,
        f"effect {story.subject}": lambda f: story.subject in f.title,
        "severity": lambda f: (f.severity in GRAVE) == story.grave,
    }
    right = [f for f in rule if all(test(f) for test in wanted.values())]
    if right:
        return ""
    missed = [what for what, test in wanted.items() if not any(test(f) for f in rule)]
    return f"{', '.join(missed) or 'no one finding has all'}; said: {[(f.title, str(f.time), f.severity.value) for f in rule]}"


@dataclass
class Outcome:
    """What the check found wrong."""

    told: int = 0
    wrong: list[str] = field(default_factory=list)


def check_stories(say: Say, *, noise: int = 3) -> Outcome:
    """Every story within ``noise`` days of ordinary calls."""
    outcome = Outcome()
    month = list(quiet_month(days=noise))
    for story in stories():
        problem = named(story, play([*month, *story.calls]))
        say(f"{'no ' if problem else 'yes'}  {story.name}{': ' + problem if problem else ''}")
        outcome.told += not problem
        outcome.wrong += [f"{story.name}: {problem}"] if problem else []
    return outcome


def check_quiet(say: Say, *, seeds: Iterable[int] = (1, 2, 3)) -> Outcome:
    """Quiet months: no finding of high severity."""
    outcome = Outcome()
    for seed in seeds:
        played = play(quiet_month(seed))
        grave = [f.title for f in played.grave]
        say(
            f"quiet month {seed}: {played.spool.records} records, {len(played.reading.findings)} findings, {len(grave)} grave, {played.seconds:.1f} s"
        )
        outcome.wrong += [f"quiet month {seed}: {title}" for title in grave]
    return outcome


def broken() -> dict[str, tuple[bytes, str]]:
    """Objects that are not what they should be, and the word by which each has to be named."""
    good = log_file([ACCOUNT.call(ALARM, "s3:ListBuckets", ACCOUNT.instance())])
    foreign: Any = ACCOUNT.call(ALARM, "s3:ListBuckets", ACCOUNT.instance(), recipientAccountId="999988887777")
    return {
        "truncated.json.gz": (gzip.compress(good * 3)[:-30], "cut off"),
        "not-gzip.json.gz": (good, "no gzip file"),
        "empty.json.gz": (b"", "empty"),
        "other.json.gz": (gzip.compress(b'{"Digest":"' + ACCOUNT.instance_id.encode() + b'"}'), "no log file"),
        "half.json.gz": (gzip.compress(good[:-40]), "cannot be read"),
        "foreign.json.gz": (gzip.compress(log_file([foreign])), ""),
        "bomb.json.gz": (gzip.compress(good + bytes(300 * MIB), 1), "more than"),
    }


def check_broken(say: Say) -> Outcome:
    """Broken files are named, and the calls of the good ones are found all the same."""
    outcome, cases = Outcome(), broken()
    calls = [ACCOUNT.call(ALARM, "sts:GetCallerIdentity", ACCOUNT.instance(address=ELSEWHERE))]
    played = play(calls, more=[LogObject(name, body) for name, (body, _) in cases.items()])
    for name, (_, word) in cases.items():
        report = played.spool.reports[name]
        right = word in report.problem if word else report.foreign == 1
        say(f"{'yes' if right else 'no '}  {name}: {report.problem or f'{report.foreign} records of another account'}")
        outcome.wrong += [] if right else [f"{name}: {report}"]
    if not any(f.id.startswith("cloudtrail-used-elsewhere") for f in played.reading.findings):
        outcome.wrong.append("the good file's call was not found beside broken files")
    return outcome


def main() -> int:
    """Run the command line: exit status 0 when everything was told rightly."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.cloud_check", description="Reading of control-plane records, proven."
    )
    parser.add_argument("--noise", type=int, default=3, help="days of ordinary calls around each story")
    parser.add_argument(
        "--scale", type=float, default=0.1, help="share of 10 GiB of trail and 50 million flow records that is read"
    )
    given = parser.parse_args()
    told = check_stories(print, noise=given.noise)
    others = [check_quiet(print), check_broken(print)]
    others += [Outcome(wrong=check_formats(print)), Outcome(wrong=check_scale(print, given.scale))]
    wrong = [*told.wrong, *(line for outcome in others for line in outcome.wrong)]
    print(f"{told.told} of {len(stories())} stories were told rightly")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
