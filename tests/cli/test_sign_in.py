"""Signing in: token, password, MWAA; and what is said when it does not work."""

from __future__ import annotations

from typing import Any

import boto3
import httpx
import pytest
from botocore.stub import Stubber
from fastapi.testclient import TestClient

from forensics_cli.api import Api
from forensics_cli.faults import CommandError, NotFound, Refused, Unreachable, WrongUse
from forensics_cli.sign_in import Place, by_address, by_mwaa, client_for
from tests.cli.airflow_api import Site, application
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

URL = "https://airflow.example.com"
PASSWORD = {"FORENSICS_USER": "mara", "FORENSICS_PASSWORD": "right"}


@pytest.fixture
def transport() -> httpx.BaseTransport:
    site = Site(Shelf({sample.CASE_ID: sample.rich_view()}))
    return TestClient(application(site))._transport


def test_a_password_is_changed_for_a_token(transport: httpx.BaseTransport) -> None:
    api = Api(by_address(URL, PASSWORD, transport=transport))
    assert api.case(sample.CASE_ID)["case_id"] == sample.CASE_ID
    with pytest.raises(Refused, match="does not let mara in"):
        by_address(URL, {**PASSWORD, "FORENSICS_PASSWORD": "wrong"}, transport=transport)


def test_a_token_is_used_as_it_is(transport: httpx.BaseTransport) -> None:
    assert Api(by_address(URL, {"FORENSICS_TOKEN": "good"}, transport=transport)).case(sample.CASE_ID)
    with pytest.raises(Refused, match="does not know you"):
        Api(by_address(URL, {"FORENSICS_TOKEN": "bad"}, transport=transport)).case(sample.CASE_ID)


@pytest.mark.parametrize("url", ["http://airflow.example.com", "airflow.example.com", "ftp://x", "https://"])
def test_a_password_never_crosses_the_network_in_the_clear(url: str) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    with pytest.raises(WrongUse):
        by_address(url, PASSWORD, transport=httpx.MockTransport(nobody))


@pytest.mark.parametrize("place", [Place(), Place(url=URL, mwaa="forensics"), Place(url=URL)])
def test_what_is_missing_is_said(place: Place) -> None:
    with pytest.raises(WrongUse) as said:
        client_for(place, {})
    assert said.value.next_action


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, text="<html>sign in</html>"), Unreachable),
        (httpx.Response(502, text="bad gateway"), Unreachable),
    ],
)
def test_an_answer_that_is_not_airflows_is_named(answer: httpx.Response, kind: type[CommandError]) -> None:
    client = by_address(URL, {"FORENSICS_TOKEN": "t"}, transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(kind):
        Api(client).case(sample.CASE_ID)


def test_nobody_answers() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    for environment in (PASSWORD, {"FORENSICS_TOKEN": "t"}):
        with pytest.raises(Unreachable, match="does not answer"):
            Api(by_address(URL, environment, transport=httpx.MockTransport(refuse))).case(sample.CASE_ID)


def mwaa() -> tuple[Any, Stubber]:
    """boto3's client with answers that botocore holds against the service's model."""
    client = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    return client, Stubber(client)


def test_an_mwaa_environment_is_entered_as_aws_documents_it() -> None:
    """Amazon MWAA user guide, *Apache Airflow REST API*: the token goes to the environment's login, whose cookie is the bearer token.

    apache-airflow-providers-amazon does the same (``hooks/mwaa.py``, ``_get_session_conn`` for Airflow 3).
    """
    asked: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/pluginsv2/aws_mwaa/login":
            good = request.content == b"token=web-token"
            return httpx.Response(
                200 if good else 403, headers={"set-cookie": "_token=jwt; Path=/; Secure"} if good else {}
            )
        return httpx.Response(200, json={"case_id": sample.CASE_ID})

    client, stubber = mwaa()
    stubber.add_response("create_web_login_token", {"WebToken": "web-token", "WebServerHostname": "abc.c2.airflow.eu-central-1.on.aws"}, {"Name": "forensics"})  # fmt: skip
    with stubber:
        Api(by_mwaa(client, "forensics", transport=httpx.MockTransport(server))).case(sample.CASE_ID)
    assert [r.url.host for r in asked] == ["abc.c2.airflow.eu-central-1.on.aws"] * 2
    assert asked[1].headers["authorization"] == "Bearer jwt"


@pytest.mark.parametrize(
    ("code", "kind"), [("ResourceNotFoundException", NotFound), ("AccessDeniedException", Refused)]
)
def test_what_aws_refuses_is_said(code: str, kind: type[CommandError]) -> None:
    client, stubber = mwaa()
    stubber.add_client_error("create_web_login_token", service_error_code=code, service_message="no")
    with stubber, pytest.raises(kind):
        by_mwaa(client, "forensics")


def test_a_login_without_its_cookie_is_a_refusal() -> None:
    client, stubber = mwaa()
    stubber.add_response("create_web_login_token", {"WebToken": "t", "WebServerHostname": "host.example.com"})
    with stubber, pytest.raises(Refused, match="does not let you in"):
        by_mwaa(client, "forensics", transport=httpx.MockTransport(lambda _: httpx.Response(403)))
