"""The deployment's settings on a laptop: what MWAA's GetEnvironment says of the environment's options, kept as a file."""

from __future__ import annotations

import json
from pathlib import Path

from forensics.errors import ConfigurationError
from forensics.settings import PREFIX, Settings, load

SECTION = "forensics."
HOW = (
    "write it while all is well: aws mwaa get-environment --name forensics --query Environment.AirflowConfigurationOptions"
    " > forensics-settings.json"
)
MAXIMUM_BYTES = 1_000_000


def read_settings(path: Path) -> Settings:
    """The settings of a file: a JSON object of ``forensics.<option>`` and texts; other sections are ignored.

    Source of the form: Amazon MWAA API reference, Environment, ``AirflowConfigurationOptions``. Raises :class:`ConfigurationError`.
    """
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAXIMUM_BYTES + 1))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as settings: {error}", next_action=HOW) from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} is not a JSON object of settings", next_action=HOW)
    given = {str(k).removeprefix(SECTION): str(v) for k, v in found.items() if str(k).startswith(SECTION)}
    try:
        # a connection is Airflow's: the identity here is the person's own
        return load({f"{PREFIX}{name.upper()}": value for name, value in given.items() if name != "aws_conn_id"})
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", next_action=HOW) from error
