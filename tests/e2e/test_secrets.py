"""No credential is left where a case leaves traces."""

from __future__ import annotations

from itertools import chain

import pytest

from lab.scenarios.driver import Lab
from tests import secret_scan
from tests.e2e.conftest import LIMIT_SECONDS, Started

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS)]


def test_no_credential_is_left_in_ssm_dynamodb_s3_xcom_or_logs(lab: Lab, cases: dict[str, Started]) -> None:
    assert cases
    facts, s3 = lab.facts, lab.forensic.client("s3")
    texts = chain(
        secret_scan.commands(lab.forensic.client("ssm"), "the forensic account"),
        secret_scan.commands(lab.member.client("ssm"), "the member account"),
        secret_scan.items(lab.forensic.client("dynamodb"), facts["case_table"]),
        secret_scan.objects(s3, facts["landing_bucket"]),
        secret_scan.objects(s3, facts["evidence_bucket"]),
        secret_scan.airflow(lab.stack.state, database=lab.stack.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]),
    )
    found, count = secret_scan.leaks(texts)
    assert count > 100, "hardly anything was looked at"
    assert found == []
