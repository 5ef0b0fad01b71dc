"""Where drills take place and what the canary plants; and that the product's own rules see what the launch template plants."""

from __future__ import annotations

import re

import pytest
import yaml

from forensic_toolkit.rules import file_rules, persistence_rules
from forensics.drill.canary import NotConfigured, drill_place, planted_of
from forensics.memory.live.host import read
from forensics.memory.live.process_rules import Maker, commands, programs
from forensics.settings import Settings, load
from infra.deployment import templates
from tests.conftest import ENVIRONMENT
from tests.toolkit.fake_tree import Builder
from tests.unit.memory.live.test_live_host import stat

TEMPLATE = templates.committed()["drill-canary"]["Resources"]["Canary"]["Properties"]["LaunchTemplateData"]
CLOUD = yaml.safe_load(TEMPLATE["UserData"]["Fn::Base64"])
PLANTED = {p.kind: p.text for p in planted_of({"Tags": TEMPLATE["TagSpecifications"][0]["Tags"]})}


def with_settings(**values: str) -> Settings:
    return load({**ENVIRONMENT, **{f"AIRFLOW__FORENSICS__{k.upper()}": v for k, v in values.items()}})


def test_a_deployment_without_a_drill_account_has_no_drills() -> None:
    with pytest.raises(NotConfigured, match=r"drill_account is empty \(docs/drills.md"):
        drill_place(with_settings())


def test_the_canary_is_at_home_unless_a_region_is_named() -> None:
    settings = with_settings(drill_account="333344445555")
    assert (drill_place(settings).account_id, drill_place(settings).region) == ("333344445555", settings.region)
    assert drill_place(with_settings(drill_account="333344445555", drill_region="us-east-1")).region == "us-east-1"


def test_what_was_planted_is_read_from_the_tags_of_the_launch_template() -> None:
    assert [s["ResourceType"] for s in TEMPLATE["TagSpecifications"]] == ["instance", "volume", "network-interface"]
    assert sorted(PLANTED) == ["file", "persistence", "process", "socket"]
    assert all(text in TEMPLATE["UserData"]["Fn::Base64"] for text in PLANTED.values()), "it would never be found"
    assert planted_of({}) == ()


def test_the_agent_starts_when_all_is_planted() -> None:
    """An agent that is online is what the drill waits for."""
    assert CLOUD["bootcmd"] == [["systemctl", "mask", "--runtime", "--now", "amazon-ssm-agent.service"]]
    assert [c[:2] for c in CLOUD["runcmd"][-2:]] == [["systemctl", "unmask"], ["systemctl", "start"]]


def test_the_live_response_s_rules_name_process_and_socket() -> None:
    planted = next(c[2] for c in CLOUD["runcmd"] if c[:2] == ["sh", "-c"])
    script = re.search(r"canary -c '(.*)' >/dev/null", planted)
    assert script
    arguments = b"\0".join([b"/var/tmp/.drill-canary", b"-c", script[1].encode(), b""])
    host = read(
        {
            "20-process-states": stat((700, b".drill-canary", 1, 4250)),
            "21-process-programs": b"/proc/700/exe -> /var/tmp/.drill-canary\n",
            "22-process-arguments": b"==> /proc/700/cmdline <==\n" + arguments + b"\n",
        }
    )
    make = Maker()
    programs(host, make)
    commands(host, make, ())
    said = [f"{f.title} {f.detail} {f.data}" for f in make.made]
    assert any(PLANTED["process"] in text for text in said) and any(PLANTED["socket"] in text for text in said)


def test_the_disk_s_rules_name_file_and_persistence() -> None:
    (cron,) = CLOUD["write_files"]
    builder = Builder().add(PLANTED["file"], b"\x7fELF" + bytes(200), mode=0o755)
    builder.add(cron["path"], cron["content"].encode())
    tree = builder.tree()
    assert PLANTED["persistence"] in [f.source for f in persistence_rules.cron(tree)]
    assert any(PLANTED["file"] in f"{f.source} {f.title}" for f in file_rules.hidden_programs(tree))
