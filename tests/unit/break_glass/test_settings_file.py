"""Settings on a laptop: the options of an MWAA environment as GetEnvironment gives them (a map of text to text)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.break_glass.settings_file import read_settings
from forensics.errors import ConfigurationError
from forensics.settings import PREFIX, load


def test_the_options_of_the_environment_are_the_settings(tmp_path: Path, settings_environment: dict[str, str]) -> None:
    options = {name.removeprefix(PREFIX).lower(): value for name, value in settings_environment.items()}
    file = tmp_path / "settings.json"
    kept = {f"forensics.{name}": value for name, value in options.items()}
    file.write_text(json.dumps({**kept, "forensics.aws_conn_id": "forensics_aws", "core.parallelism": "32"}))
    assert read_settings(file) == load(settings_environment), "an Airflow connection is no identity of a person"


@pytest.mark.parametrize("body", ["", "[]", "{}", "not json", '{"forensics.region": "eu-central-1"}'])
def test_what_is_no_such_file_says_how_it_is_made(tmp_path: Path, body: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(body)
    for path in (file, tmp_path / "none.json"):
        with pytest.raises(ConfigurationError, match=str(path)) as said:
            read_settings(path)
        assert "aws mwaa get-environment" in said.value.next_action
