"""Where the logs of load balancers lie in a window, in the layout of the ELB user guides (*Access logs*, "Access log files")."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

from forensics.cloud_evidence.balancer_logs import folders, note, pointer
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.models.target_facts import AccessLog

END = datetime(2026, 12, 1, 2, tzinfo=UTC)
ARN = "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/my-loadbalancer/1234567890abcdef"
LOG = AccessLog(
    balancer=ARN, kind="application", file_id="app.my-loadbalancer.1234567890abcdef", bucket="amzn-s3-demo-logging-bucket", prefix="logging-prefix"
)  # fmt: skip


def window(hours: int) -> RecordWindow:
    return RecordWindow(begin=END - timedelta(hours=hours), end=END, alarm=END)


def test_the_folders_are_those_of_the_days_and_of_months_where_they_are_many() -> None:
    assert folders(window(1)) == ["2026/12/01"]
    assert folders(window(30)) == ["2026/11/29", "2026/11/30", "2026/12/01"]
    assert folders(window(24 * 40)) == ["2026/10", "2026/11", "2026/12"]


def test_the_commands_take_the_files_that_the_guide_names_and_no_other_balancers() -> None:
    """The guide's example: …/us-east-2/2022/05/01/123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_….log.gz"""
    found = pointer(LOG, account_id="123456789012", region="us-east-2", window=window(1))
    assert (
        found["location"]
        == "s3://amzn-s3-demo-logging-bucket/logging-prefix/AWSLogs/123456789012/elasticloadbalancing/us-east-2/"
    )
    commands = found["commands"]
    assert isinstance(commands, list)
    words = shlex.split(commands[0])
    assert words[:5] == ["aws", "s3", "cp", "--recursive", f"{found['location']}2026/12/01/"]
    assert words[-2:] == ["--include", "*_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_*"]
    assert "lies in s3://amzn" in note(found)


def test_a_bucket_of_a_hostile_name_is_one_word_of_the_command() -> None:
    odd = LOG.model_copy(update={"prefix": "x'; rm -rf ~ #"})
    found = pointer(odd, account_id="123456789012", region="us-east-2", window=window(1))
    commands = found["commands"]
    assert isinstance(commands, list) and len(shlex.split(commands[0])) == 10


def test_what_writes_nothing_says_what_to_switch_on() -> None:
    off = LOG.model_copy(update={"bucket": "", "prefix": ""})
    found = pointer(off, account_id="123456789012", region="us-east-2", window=window(1))
    assert (found["outcome"], found["switch_on"]) == ("NOT_APPLICABLE", "access_logs.s3.enabled")
    assert (
        note(found)
        == "application load balancer app/my-loadbalancer/1234567890abcdef writes no access log: switch on access_logs.s3.enabled"
    )
    gateway = off.model_copy(update={"kind": "gateway"})
    assert "gateway load balancers write no access logs" in note(
        pointer(gateway, account_id="1", region="r", window=window(1))
    )
