"""Where the UI is: the setting, else Airflow's own base URL."""

from __future__ import annotations

import pytest

from forensics.case import ui_address
from forensics.errors import ConfigurationError


class Configured:
    """Settings with an address."""

    ui_url = "https://airflow.example/deployment/"


def test_the_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://other.example/path")
    monkeypatch.setattr(ui_address, "get_settings", Configured)
    assert ui_address.ui_address() == "https://airflow.example/deployment"
    assert ui_address.airflow_path() == "/path"


def test_a_process_without_settings_uses_the_path_of_its_own_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    def unset() -> None:
        raise ConfigurationError("nothing is set")

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://other.example/path/")
    monkeypatch.setattr(ui_address, "get_settings", unset)
    assert ui_address.ui_address() == "/path"
