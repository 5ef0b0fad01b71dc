"""Presigned URLs carry the session token of who signed them, whose size AWS does not fix.

AWS STS API reference, ``AssumeRole``: "The size of the security token that STS API operations return is not fixed. We
strongly recommend that you make no assumptions about the maximum size." A token of 4 KiB, percent-encoded, gives a URL of
about 5,000 characters; SSM takes 64 KiB of document and parameters together.
"""

from __future__ import annotations

import re
import secrets

import boto3
import pytest
from botocore.config import Config

from forensic_toolkit.manifest import _URL as TOOLKIT_URL
from tests.documents.documents import load, names

DOCUMENTS = {name: load(name) for name in names()}


def presigned(token_bytes: int) -> str:
    """A URL as the landing gateway makes it, signed with a token of this size."""
    token = (secrets.token_urlsafe(token_bytes) + "+/=")[-token_bytes:]
    session = boto3.session.Session("testing", "testing", token, region_name="eu-central-1")
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = session.client("s3", config=config)
    key = "fc-20261124-0123456789/memory-i-0123456789abcdef0/20261124T080000000000Z/manifest.txt"
    return str(
        client.generate_presigned_url(
            "get_object", Params={"Bucket": "forensics-landing-222233334444-eu-central-1", "Key": key}
        )
    )


PATTERNS = {
    name: document["parameters"]["ManifestUrl"]["allowedPattern"]
    for name, document in DOCUMENTS.items()
    if "ManifestUrl" in document["parameters"]
}


@pytest.mark.parametrize("token_bytes", [356, 1500, 2048, 4096])
def test_every_document_takes_the_url_of_a_token_of_any_known_size(token_bytes: int) -> None:
    url = presigned(token_bytes)
    assert len(PATTERNS) >= 12
    refused = [name for name, pattern in PATTERNS.items() if not re.fullmatch(pattern, url)]
    assert refused == [], f"{len(url)} characters"
    assert TOOLKIT_URL.fullmatch(url)


def test_scripts_take_what_their_documents_take() -> None:
    """The check of URLs inside a manifest is not narrower than the parameter's."""
    for name, document in DOCUMENTS.items():
        script = str(document["mainSteps"])
        assert not re.search(r"\{1,[1-7]?\d{3}\}\$", script), name
        for limit in re.findall(r"\$\{#1\} -le (\d+)", script):
            assert int(limit) == 8000, name
