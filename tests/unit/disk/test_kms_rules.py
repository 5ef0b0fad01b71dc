"""The KMS decision table, row by row, and the Region that a copy goes to."""

from __future__ import annotations

import pytest

from forensics.disk.kms_rules import UNUSABLE, destination, owner_of, route_for
from forensics.models.disk import KeyCase, KeyFacts, Route

TARGET, FORENSIC, OTHER = "333344445555", "222233334444", "999988887777"


def key(account: str = TARGET, **facts: str) -> KeyFacts:
    arn = f"arn:aws:kms:eu-central-1:{account}:key/k"
    return KeyFacts(**{"arn": arn, "account_id": account, "manager": "CUSTOMER", "state": "Enabled", **facts})


@pytest.mark.parametrize(
    ("facts", "case", "route", "after_failure"),
    [
        (key(manager="AWS"), KeyCase.AWS_EBS, Route.REENCRYPT, Route.REENCRYPT),
        (KeyFacts(arn="alias/aws/ebs"), KeyCase.AWS_EBS, Route.REENCRYPT, Route.REENCRYPT),
        (key(), KeyCase.CUSTOMER, Route.GRANT, Route.REENCRYPT),
        (key(FORENSIC), KeyCase.FORENSIC, Route.SHARE, Route.REENCRYPT),
        (key(OTHER), KeyCase.FOREIGN, Route.REENCRYPT, Route.REENCRYPT),
        (key(OTHER, account_id="", problem="denied"), KeyCase.FOREIGN, Route.REENCRYPT, Route.REENCRYPT),
        (key(account_id="", state="", problem="denied"), KeyCase.UNKNOWN, Route.SHARE, Route.REENCRYPT),
        (None, KeyCase.UNKNOWN, Route.SHARE, Route.REENCRYPT),
        *((key(state=state), KeyCase.UNUSABLE, Route.BLOCKED, Route.BLOCKED) for state in sorted(UNUSABLE)),
    ],
)
def test_every_row(facts: KeyFacts | None, case: KeyCase, route: Route, after_failure: Route) -> None:
    accounts = {"account_id": TARGET, "forensic_account_id": FORENSIC}
    first = route_for(encrypted=True, key=facts, **accounts)
    assert (first.case, first.route) == (case, route)
    assert route_for(encrypted=True, key=facts, failed_before=True, **accounts).route is after_failure
    assert first.reason and (first.next_action or route is not Route.BLOCKED)


def test_without_encryption_there_is_no_key_to_ask_about() -> None:
    found = route_for(encrypted=False, key=None, account_id=TARGET, forensic_account_id=FORENSIC, failed_before=True)
    assert (found.case, found.route) == (KeyCase.NONE, Route.SHARE)


def test_the_owner_is_in_the_arn() -> None:
    assert owner_of(key(OTHER).arn) == OTHER
    assert owner_of("alias/aws/ebs") is None and owner_of("1234-abcd") is None


@pytest.mark.parametrize(
    ("region", "may_leave", "where"),
    [
        ("eu-central-1", (), "eu-central-1"),
        ("us-east-1", (), "us-east-1"),
        ("us-east-1", ("us-east-1",), "eu-central-1"),
        ("us-east-1", ("us-west-2",), "us-east-1"),
        ("us-east-1", ("*",), "eu-central-1"),
    ],
)
def test_a_disk_leaves_its_region_only_where_policy_lets_it(
    region: str, may_leave: tuple[str, ...], where: str
) -> None:
    assert destination(region, home="eu-central-1", may_leave=may_leave) == where
