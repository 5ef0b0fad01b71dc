"""Each alarm on an age rings by its real cause, on what the templates deploy and under the roles that measure it; the clock is the caller's.

Only the certificate is not measured by the product: ACM publishes its days itself (AWS Certificate Manager user guide, "CloudWatch metrics").
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws import session as aws_session
from forensics.aws.hook import ForensicsHook
from forensics.investigation.symbol_store import PREFIX
from forensics.preflight import age_operators
from forensics.preflight.age_operators import MeasureAgesOperator
from forensics.preflight.ages import Ages, measure
from forensics.preflight.scope import PreflightScope
from forensics.settings import get_settings
from infra.deployment import templates
from tests.integration.conftest import SmallLab, running_lab
from tests.templates.alarm_machine import keys_of, state

BODY = templates.reading()["age-alarms"]
ALARMS = {r["Properties"]["AlarmName"].removeprefix("forensics-"): r["Properties"] for r in BODY["Resources"].values()}
LATER = timedelta(days=2000)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One deployment by the templates, with a channel, a symbol table and the day on which its external id was made."""
    with pytest.MonkeyPatch.context() as change:
        change.setenv("LAB_DEPLOY", "templates")
        with running_lab(tmp_path_factory.mktemp("ages"), change) as made:
            made.client("secretsmanager").create_secret(Name="forensics/channel/soc", SecretString="{}")
            made.client("s3").put_object(
                Bucket=made.facts["evidence_bucket"], Key=f"{PREFIX}banner/btf.json", Body=b"{}"
            )
            change.setenv("AIRFLOW__FORENSICS__CHANNELS", "soc=forensics/channel/soc")
            change.setenv("AIRFLOW__FORENSICS__EXTERNAL_ID_SINCE", f"{datetime.now(UTC):%Y-%m-%d}")
            keys = [made.facts[k] for k in ("landing_key_arn", "data_key_arn", "message_key_arn")]
            change.setenv("AIRFLOW__FORENSICS__WATCHED_KEYS", ",".join(keys))
            get_settings.cache_clear()
            yield made


def look(*, later: timedelta = timedelta()) -> Ages:
    aws_session.forget()
    return measure(PreflightScope(ForensicsHook(), run="ages"), now=datetime.now(UTC) + later)


def rung(figures: dict[str, float], *, before: str = "OK") -> set[str]:
    """The alarms that ring on these figures, by the limits that the template has by default."""
    found = set()
    for name, alarm in ALARMS.items():
        limit = alarm["Threshold"]
        given: Any = BODY["Parameters"][limit["Ref"]]["Default"] if isinstance(limit, dict) else limit
        (key,) = keys_of(alarm)
        if key[0] == "Forensics":
            points = [figures.get(key[1])]
            found |= {name} if state({**alarm, "Threshold": given}, {key: points}, before=before) == "ALARM" else set()
    return found


def test_nothing_rings_on_a_new_deployment_and_everything_is_measured(lab: SmallLab) -> None:
    found = look()
    assert "; ".join(found.problems) == "" and rung(found.figures) == set()
    assert {a["MetricName"] for a in ALARMS.values()} - {"DaysToExpiry"} == set(found.figures)
    # nobody measures: what has rung goes on ringing, what has not stays quiet
    assert rung({}) == set() and rung({}, before="ALARM") == set(ALARMS) - {"certificate-ends"}


def test_time_alone_rings_the_alarms_on_ages(lab: SmallLab) -> None:
    old = {"signing-key-old", "external-id-old", "channel-secret-old", "ami-old", "symbols-old"}
    assert rung(look(later=LATER).figures) >= old
    assert rung(look(later=timedelta(days=40)).figures) == set(), (
        "a monthly build that is a week late is none that is missing"
    )


@pytest.mark.parametrize("cause", ["disable_key", "schedule_key_deletion"])
def test_a_key_that_is_about_to_go_rings_and_is_named(lab: SmallLab, cause: str) -> None:
    kms, key = lab.client("kms"), lab.facts["data_key_arn"]
    getattr(kms, cause)(KeyId=key)
    try:
        found = look()
        assert rung(found.figures) == {"keys-unusable"} and found.figures["KeysUnusable"] == 1
        assert any(key in line and ("Disabled" in line or "PendingDeletion" in line) for line in found.lines)
    finally:
        if cause == "schedule_key_deletion":
            kms.cancel_key_deletion(KeyId=key)
        kms.enable_key(KeyId=key)
    assert rung(look().figures) == set()


def test_a_key_that_is_gone_rings(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What KMS answers when the waiting time has passed: there is no such key."""
    gone = lab.facts["data_key_arn"].rpartition("/")[0] + "/00000000-0000-4000-8000-000000000000"
    monkeypatch.setenv("AIRFLOW__FORENSICS__WATCHED_KEYS", gone)
    get_settings.cache_clear()
    assert rung(look().figures) == {"keys-unusable"}
    monkeypatch.undo()
    get_settings.cache_clear()


def test_a_key_whose_rotation_somebody_ended_rings(lab: SmallLab) -> None:
    kms, key = lab.client("kms"), lab.facts["message_key_arn"]
    kms.disable_key_rotation(KeyId=key)
    try:
        found = look()
        assert rung(found.figures) == {"keys-not-rotated"} and any(key in x and "not rotated" in x for x in found.lines)
    finally:
        kms.enable_key_rotation(KeyId=key)


def test_an_empty_symbol_library_and_an_unknown_external_id_have_no_age(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__EXTERNAL_ID_SINCE", "")
    monkeypatch.setattr("forensics.preflight.ages.PREFIX", "cases/fc-symbols/none/")
    get_settings.cache_clear()
    found = look(later=LATER)
    assert "SymbolLibraryDays" not in found.figures and "ExternalIdDays" not in found.figures and found.problems == []
    assert any("next deployment" in line for line in found.lines)
    monkeypatch.undo()
    get_settings.cache_clear()


def test_what_cannot_be_looked_at_fails_the_step_by_name_after_the_rest_was_put(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__CHANNELS", "soc=forensics/channel/nobody-made")
    get_settings.cache_clear()
    aws_session.forget()
    put: list[dict[str, float]] = []
    sent = age_operators.Metrics.put
    monkeypatch.setattr(
        age_operators.Metrics, "put", lambda self, numbers: (put.append(dict(numbers)), sent(self, numbers))
    )
    context: Any = {}
    with pytest.raises(AirflowFailException, match="forensics/channel/nobody-made"):
        MeasureAgesOperator(task_id="measure_ages").execute(context)
    assert "AmiDays" in put[0] and "ChannelSecretDays" not in put[0]
    monkeypatch.undo()
    get_settings.cache_clear()
