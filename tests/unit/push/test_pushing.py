"""One case, every system: what arrives is in the ledger, what does not is said and holds up no other."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any
from unittest.mock import create_autospec

import pytest

from forensics import case_keys
from forensics.aws.channel_secrets import SecretsGateway
from forensics.aws.push_targets import PushTargets
from forensics.errors import PushError
from forensics.models.custody import CustodyAction
from forensics.models.push import Pushed
from forensics.push.plug import Arrived, PushedCase, PushPlug
from forensics.push.pushing import plug_of, push_case
from forensics.settings import Settings
from tests.unit.preflight.conftest import settings_with
from tests.unit.push.openrelik_server import KEY, OpenRelik
from tests.unit.push.timesketch_server import PASSWORD, USER, Timesketch
from tests.unit.report.test_gap_counts import Stored

CHANNEL = "forensics/channel/"


def targets(**secrets: Any) -> PushTargets:
    """Targets by name; the vault stands for Secrets Manager."""
    vault = create_autospec(SecretsGateway, instance=True)
    vault.text.side_effect = lambda name: secrets[name] if isinstance(secrets[name], str) else json.dumps(secrets[name])
    return PushTargets(vault, secrets={name: name for name in secrets}, hosts=("127.0.0.1",))


def of_timesketch(server: Timesketch, **more: Any) -> dict[str, Any]:
    return {"kind": "timesketch", "server": server.url, "username": USER, "password": PASSWORD, **more}


def of_openrelik(server: OpenRelik, **more: Any) -> dict[str, Any]:
    return {"kind": "openrelik", "server": server.url, "api_key": KEY, **more}


@pytest.fixture
def settings() -> Settings:
    return settings_with()


def test_a_case_goes_to_every_system_and_the_ledger_says_where(
    recorder: Stored, sketches: Timesketch, relik: OpenRelik, settings: Settings
) -> None:
    both = targets(a=of_timesketch(sketches), b=of_openrelik(relik))
    arrived, failed = push_case(recorder, both, settings)
    assert failed == {} and [made.name for made in arrived] == ["a", "b"]
    events = [e for e in recorder.ledger.events(recorder.case_id) if e.action is CustodyAction.CASE_PUSHED]
    assert [e.detail["where"] for e in events] == [f"{sketches.url}/sketch/1/", f"{relik.url}/folder/1"]
    assert events[0].facts and events[0].facts.moved_to == f"{sketches.url}/sketch/1/"
    kept = recorder.get(f"{case_keys.PUSHED}a", Pushed)
    assert kept and kept.entries == arrived[0].entries > 0
    assert any("pushed to b: " in entry.what for entry in recorder.view().timeline)
    push_case(recorder, both, settings)
    again = [e for e in recorder.ledger.events(recorder.case_id) if e.action is CustodyAction.CASE_PUSHED]
    assert len(again) == 2, "nothing left the deployment the second time"


def test_one_that_fails_holds_up_no_other(
    recorder: Stored, sketches: Timesketch, relik: OpenRelik, settings: Settings
) -> None:
    sketches.fails["POST /api/v1/sketches/"] = 500
    arrived, failed = push_case(recorder, targets(a=of_timesketch(sketches), b=of_openrelik(relik)), settings)
    assert [made.name for made in arrived] == ["b"]
    assert failed["a"].startswith("POST /api/v1/sketches/ at 127.0.0.1: answered 500. What to do next: ")
    assert recorder.get(f"{case_keys.PUSHED}a", Pushed) is None


def test_a_drill_goes_nowhere(recorder: Stored, relik: OpenRelik, settings: Settings) -> None:
    recorder.case = recorder.case.model_copy(update={"drill": True})
    assert push_case(recorder, targets(a=of_openrelik(relik)), settings) == ([], {}) and relik.folders == []


def test_a_case_without_a_stored_timeline_says_so(recorder: Stored, settings: Settings) -> None:
    recorder.store.held.pop((recorder.case_id, case_keys.TIMELINE_STORE))
    with pytest.raises(PushError, match="no stored timeline"):
        push_case(recorder, targets(), settings)


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": ("hush", "is not JSON"),
    "no TLS": ({"kind": "openrelik", "server": "http://hush.example.com"}, "server"),
    "another host": ({"kind": "openrelik", "server": "https://relik.example.com"}, "goes to relik.example.com"),
    "unknown field": ({"kind": "openrelik", "server": "https://127.0.0.1", "token": "hush"}, "token"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_secret_is_said_without_it(name: str, recorder: Stored, settings: Settings) -> None:
    secret, said = WRONG[name]
    _, failed = push_case(recorder, targets(a=secret), settings)
    assert said in failed["a"] and "hush" not in failed["a"] and "What to do next" in failed["a"]


class Mine(PushPlug):
    """A plug of one's own."""

    kind = "mine"

    def push(self, case: PushedCase) -> Arrived:
        """Say hello, or break with a secret in its words."""
        if self.access.options.get("break"):
            raise RuntimeError(self.access.api_key)
        return Arrived(where=f"mine:{case.case.case_id}", entries=case.timeline()[1])


def test_a_plug_of_ones_own_is_named_by_the_settings(recorder: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("soc_plugs")
    module.Mine, module.Other = Mine, dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "soc_plugs", module)
    settings = settings_with(push_plugs="mine=soc_plugs:Mine")
    secret = {"kind": "mine", "server": "https://127.0.0.1", "api_key": "hush"}
    arrived, failed = push_case(
        recorder, targets(a=secret, b={**secret, "options": {"break": "1"}}, c={**secret, "kind": "none"}), settings
    )
    assert [made.where for made in arrived] == [f"mine:{recorder.case_id}"]
    assert failed["b"].startswith("RuntimeError.") and "hush" not in str(failed)
    assert "known: timesketch, openrelik, mine" in failed["c"]
    for wrong in ("mine=soc_plugs:Other", "mine=soc_plugs:None_", "mine=no_such_module:Mine"):
        own = {"mine": wrong.partition("=")[2]}
        with pytest.raises(PushError, match="plug mine"):
            plug_of("mine", own)
