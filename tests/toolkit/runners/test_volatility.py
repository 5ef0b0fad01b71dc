"""The plugins of each profile."""

from __future__ import annotations

import json

import pytest

from forensic_toolkit.runners import volatility
from tests.toolkit.examined import NO_TOOLS, TOOLS, run


@pytest.mark.parametrize(("platform", "profile"), [("linux", "quick"), ("linux", "full"), ("windows", "full")])
def test_plugins_have_limits_and_occur_once(platform: str, profile: str) -> None:
    plugins = [plugin for plugins in volatility.plugin_lists(platform, profile=profile) for plugin in plugins]
    assert len({name for name, _ in plugins}) == len(plugins)
    assert all(0 < seconds <= (180 if profile == "quick" else 1800) for _, seconds in plugins)
    assert {plugin for quick in volatility.plugin_lists(platform) for plugin in quick} <= set(plugins)


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_the_pinned_version_has_every_plugin() -> None:
    program = """
import json, warnings
warnings.filterwarnings("ignore")
from volatility3 import framework, plugins
framework.import_files(plugins, True)
print(json.dumps(sorted(framework.list_plugins())))
"""
    known = set(json.loads(run(program)))
    for platform in ("linux", "windows"):
        wanted = {name for plugins in volatility.plugin_lists(platform, profile="full") for name, _ in plugins}
        assert wanted <= known, sorted(wanted - known)
