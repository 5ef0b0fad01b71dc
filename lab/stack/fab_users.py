"""Runs in Airflow's environment: makes the lab's users in FAB's user database, as administrators. Started by the stack.

On MWAA people come in through IAM and FAB makes the user at the first sign-in; the lab has no IAM for people.
"""

from __future__ import annotations

import json
import os


def main() -> None:
    """Make each user of ``LAB_PEOPLE`` (JSON: name to password)."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        for name, password in json.loads(os.environ["LAB_PEOPLE"]).items():
            builder.sm.add_user(
                username=name,
                first_name=name,
                last_name="of the lab",
                email=f"{name}@example.com",
                role=builder.sm.find_role("Admin"),
                password=password,
            )


if __name__ == "__main__":
    main()
