"""What the web server reaches: it lives in a network of MWAA's own, so that only a page can try it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.case_keys import PREFLIGHT_PAGES
from forensics.models.preflight import PagesReach
from forensics.naming import PREFLIGHT
from forensics.preflight.check import Check
from forensics.preflight.reach_check import Question, ReachCheck, own_questions
from forensics.preflight.runner import run_checks
from forensics.preflight.scope import PreflightScope

NEEDED = frozenset({"sts", "dynamodb", "sqs"})


def pages_checks(scope: PreflightScope) -> Iterator[Check]:
    """What the pages work with: the case store, the queue's depth, roles, and results in the evidence store."""
    s = scope.settings
    who = f"role {s.role_prefix}execution of {s.forensic_account_id}"
    for question in own_questions(s):
        if question.service in NEEDED:
            yield ReachCheck(question, region=s.region, home=s.region, session=scope.own, who=who)
    listing = {"Bucket": s.evidence_bucket, "Prefix": "cases/", "MaxKeys": 1}
    reader = f"role {s.role_prefix}reader of {s.forensic_account_id}"
    question = Question("s3", "reader", "list_objects_v2", listing)
    yield ReachCheck(question, region=s.region, home=s.region, session=lambda: scope.phase("reader"), who=reader)


def reach_of_pages(hook: ForensicsHook) -> PagesReach:
    """Try it from here, now."""
    results = run_checks(pages_checks(PreflightScope(hook, run="pages")))
    return PagesReach(at=datetime.now(UTC), results=tuple(sorted(results, key=lambda r: r.subject)))


def record_pages(store: CaseStore, found: PagesReach) -> None:
    """Keep it for the preflight, which cannot try it itself."""
    store.put(PREFLIGHT, PREFLIGHT_PAGES, found)
