"""The pages' gateways: read under the reader's role, which signs nothing."""

from __future__ import annotations

from unittest.mock import patch

from forensics.aws.hook import PAGES, ForensicsHook
from forensics.settings import load
from forensics.web.gateways import page_gateways


def test_the_pages_read_under_the_reader_s_role(settings_environment: dict[str, str]) -> None:
    settings = load(settings_environment)
    with (
        patch("forensics.aws.hook.get_settings", autospec=True, return_value=settings),
        patch.object(ForensicsHook, "own", autospec=True),
        patch.object(ForensicsHook, "forensic", autospec=True) as forensic,
    ):
        forensic.return_value.role_arn, forensic.return_value.case_id = "role/forensics-reader", PAGES
        gateways = page_gateways()
    assert forensic.call_args.args[1:] == (PAGES, "reader")
    assert gateways.store.table == settings.case_table
