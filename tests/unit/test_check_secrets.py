"""scripts/check_secrets.py finds credentials and leaves alone what only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.check_secrets import check, found, main

# put together here, so that this file has none
PLANTED = {
    "AWS access key": "key = " + "AKIA" + "B" * 16,
    "AWS secret key": "aws_secret_access_key=" + "c" * 40,
    "AWS session token": "X-Amz-Security-Token=" + "d" * 120,
    "private key": "-----BEGIN EC " + "PRIVATE KEY-----\n" + "e" * 64,
    "token of a source host": "ghp" + "_" + "f" * 36,
    "token of a chat service": "xox" + "b-" + "1" * 24,
    "password in an address": "https://user:" + "g" * 12 + "@registry.example.com/",
}
HARMLESS = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AKIA" + "222233334444ROOT",
    "AWS_SECRET_ACCESS_KEY=${SECRET}",
    "aws_session_token in the words of a document",
    "postgresql://airflow:${POSTGRES_PASSWORD}@postgres.internal.net/airflow",
    "-----BEGIN PUBLIC KEY-----",
    "sha256 " + "0" * 64,
)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_credential_is_found_in_its_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.txt"
    file.write_text(f"first line\n{PLANTED[kind]}\n", "utf-8")
    assert check([file]) == [f"{file}:2: {kind}"]
    assert main([str(file)]) == 1
    assert PLANTED[kind] not in capsys.readouterr().out, "what was found is not spread further"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert list(found(text.encode())) == []
