"""When a registered document is chosen: by the target's system and by the types of the findings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.documents import Document, OfferedFile, Output


def document(**changes: Any) -> Document:
    known = {"name": "forensics-investigate_disk_linux", "sha256": "0" * 64, "activity": "investigate_disk"}
    return Document.model_validate({**known, "platform": "linux", **changes})


@pytest.mark.parametrize(
    ("os_version", "system", "fits"),
    [
        ("", "Debian GNU/Linux 12", True),
        ("", "", True),
        ("Amazon Linux 2", "Amazon Linux 2", True),
        ("Amazon Linux 2", "Amazon Linux 2023", True),
        ("Ubuntu 24", "Ubuntu 24.04", True),
        ("24", "Ubuntu 24.04", True),
        ("Ubuntu 24", "Ubuntu 22.04", False),
        ("Ubuntu 24", "Debian GNU/Linux 12", False),
    ],
)
def test_a_document_is_for_a_system_by_name_or_version(os_version: str, system: str, fits: bool) -> None:
    assert document(os_version=os_version).fits(system) is fits


@pytest.mark.parametrize(
    ("patterns", "types", "runs"),
    [
        (("*",), ["Backdoor:EC2/C&CActivity.B"], True),
        (("CryptoCurrency:*",), ["Backdoor:EC2/C&CActivity.B"], False),
        (("CryptoCurrency:*",), ["Backdoor:EC2/C&CActivity.B", "CryptoCurrency:EC2/BitcoinTool.B"], True),
        (("cryptocurrency:*",), ["CryptoCurrency:EC2/BitcoinTool.B"], False),
        # A person asked.
        (("CryptoCurrency:*",), [], True),
    ],
)
def test_a_document_runs_for_findings_of_its_types(patterns: tuple[str, ...], types: list[str], runs: bool) -> None:
    assert document(finding_types=patterns).answers(iter(types)) is runs


def test_a_document_has_results_unless_it_says_otherwise() -> None:
    made = document(offers={"signatures": {"key": "tools/s.hsb", "sha256": "a" * 64}})
    assert (made.output, made.enabled, made.takes_limit, made.evidence) == (Output.RESULTS, True, False, None)
    assert made.offers["signatures"] == OfferedFile(key="tools/s.hsb", sha256="a" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"activity": "Investigate"},
        {"sha256": "0" * 63},
        {"platform": "Linux!"},
        {"tool": "Clam AV"},
        {"output": "pdf"},
        {"offers": {"Signatures": {"key": "tools/s", "sha256": "a" * 64}}},
        {"offers": {"signatures": {"key": "/etc/passwd", "sha256": "a" * 64}}},
        {"offers": {"signatures": {"key": "tools/s", "sha256": "-"}}},
    ],
)
def test_a_line_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        document(**change)
