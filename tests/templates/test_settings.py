"""Every setting of the product reaches an environment that the templates deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forensics.settings import PREFIX, Settings, load
from infra.deployment import checks, configuration, plan, settings, templates

EXAMPLE = (templates.ROOT / "infra" / "deployment.example.yaml").read_text("utf-8")
FREE = sorted(set(Settings.model_fields) - set(settings.derived()))
# Values that differ from the defaults, by the type of the setting or by its pattern.
VALUES: dict[str, str] = {
    "winpmem_sha256": "a" * 64, "capture_tool_arm64_sha256": "b" * 64, "isolate_from_severity": "CRITICAL", "approval_default": "isolate", "drift_response": "close",
    "analysis_instance_types": "m7i.large, c5.xlarge", "capture_tool_key": "tools/other", "capture_tool_arm64_key": "tools/arm", "lime_list_key": "lime.json",
    "winpmem_key": "tools/w.exe", "static_collector_key": "tools/b", "static_collector_sha256": "c" * 64, "static_collector_arm64_key": "tools/ba",
    "static_collector_arm64_sha256": "d" * 64, "policy_key": "policy/policy.yaml", "never_isolate_key": "policy/never-isolate.yaml", "evidence_key_alias": "alias/mine",
    "member_key_alias": "alias/theirs", "cross_region_from": "us-east-1, eu-west-1", "administrator_accounts": "111122223333", "target_accounts": "333344445555, 444455556666",
    "disk_keys": "/forensics/disk-keys/web, forensics/disk-keys/fleet",
    "ami_statement": "required", "ui_url": "https://forensics.example.com/airflow", "posture_cases": "controls, patches", "drill_account": "333344445555", "drill_schedule": "0 6 1 * *", "channels": "soc=forensics/channel/soc", "other_deployments": "blue, green", "webhook_senders": "edr=forensics/webhook/edr", "channel_hosts": "soc.example.com", "pushes": "relik=forensics/channel/relik", "push_plugs": "mine=soc.plugs:Mine", "record_data_stores": "arn:aws:cloudtrail:eu-central-1:333344445555:eventdatastore/01234567-89ab-cdef-0123-456789abcdef", "summary_model": "amazon.nova-pro-v1:0", "summary_guardrail": "abcd1234:1", "recurrence_opens_from": "HIGH", "timestamp_authority_url": "https://tsa.example.com/rfc3161",
}  # fmt: skip


def other_value(name: str) -> str:
    field = Settings.model_fields[name]
    if name in VALUES:
        return VALUES[name]
    if field.annotation is bool:
        return str(not field.default)
    if field.annotation in (int, float):
        limits = {type(m).__name__: m for m in field.metadata}
        most = limits["Le"].le if "Le" in limits else None
        return str(int(field.default) + 1 if most is None or field.default < most else int(field.default) - 1)
    return "something"


def options(given: dict[str, Any]) -> dict[str, Any]:
    body = templates.parse(settings.render(templates.text_of("mwaa"), given), name="mwaa")
    return dict(body["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"])


def test_what_the_template_derives_is_known_and_complete() -> None:
    derived = set(settings.derived())
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= derived <= set(Settings.model_fields)
    assert "image_pipeline_arn" in derived, "the AMI's DAG is skipped without it"


@pytest.mark.parametrize("name", FREE)
def test_a_setting_of_the_file_is_the_setting_of_the_product(name: str, settings_environment: dict[str, str]) -> None:
    value = other_value(name)
    assert list(settings.problems({name: value})) == []
    made = options({name: value})[f"forensics.{name}"]
    # Airflow and MWAA present an option as this environment variable.
    read = load({**settings_environment, f"{PREFIX}{name.upper()}": made})
    assert getattr(read, name) != Settings.model_fields[name].default
    assert str(getattr(read, name)).rstrip("0").rstrip(".") == value.rstrip("0").rstrip(".")


def test_booleans_of_yaml_are_read_as_such(tmp_path: Path, settings_environment: dict[str, str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE.replace("settings:\n", "settings:\n  write_back: false\n  legal_hold: no\n", 1))
    config = configuration.read(file)
    plan.steps(config)
    checks.validate(config)
    made = {
        f"{PREFIX}{n.removeprefix('forensics.').upper()}": v
        for n, v in options(config.settings).items()
        if n.endswith(("write_back", "legal_hold"))
    }
    read = load({**settings_environment, **made})
    assert read.write_back is read.legal_hold is False


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("isolation_cap_al", "3", "did you mean isolation_cap_all"),
        ("evidence_bucket", "mine", "comes from the deployment itself (parameter or output EvidenceBucket)"),
        ("region", "eu-central-1", "the account and Region"),
        ("isolation_cap_all", "1001", "less than or equal to 1000"),
        ("url_seconds", "soon", "valid integer"),
        ("isolate_from_severity", "URGENT", "should match pattern"),
        ("write_back", "perhaps", "valid boolean"),
        ("config_rules", ["a", "b"], "with commas"),
        ("policy_key", "", "MWAA refuses empty options"),
        ("policy_key", "../policy.yaml", "should match pattern"),
        ("never_isolate_key", "/policy/list.yaml", "should match pattern"),
        ("never_isolate_key", "s3://bucket/list.yaml", "should match pattern"),
        ("ui_url", "forensics.example.com", "should match pattern"),
        ("member_key_alias", "forensics-member", "should match pattern"),
        ("cross_region_from", "eu-central-1, us-east-9", "AWS has no Region 'us-east-9' (did you mean us-east-"),
        ("analysis_instance_types", "large", "should match pattern"),
        ("approval_timeout_seconds", "-1", "greater than or equal to 60"),
        ("poll_seconds", "inf", "less than or equal to 300"),
        ("orphan_after_hours", "1000000", "less than or equal to 720"),
        ("write_back", None, "has no value"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: Any, said: str) -> None:
    (problem,) = settings.problems({name: value})
    assert said in problem, problem


def test_without_settings_the_template_is_what_was_released() -> None:
    assert settings.render(templates.text_of("mwaa"), {}) == templates.text_of("mwaa")
