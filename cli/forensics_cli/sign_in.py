"""Where Airflow is and who asks: an address with a token or a password, or an MWAA environment with an AWS identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from forensics_cli.faults import NotFound, Refused, Unreachable, WrongUse

SECONDS = 30.0
# Amazon MWAA user guide, "Apache Airflow REST API": where an Airflow 3 environment takes a web login token, and the cookie that it answers with.
MWAA_LOGIN = "/pluginsv2/aws_mwaa/login"
MWAA_COOKIE = "_token"
HOW = "give --url with FORENSICS_TOKEN or FORENSICS_USER and FORENSICS_PASSWORD, or --mwaa with an AWS identity (see forensics --help)"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Place:
    """Where to ask: ``url`` of Airflow's UI, or the name of an MWAA environment with its Region and AWS profile."""

    url: str = ""
    mwaa: str = ""
    region: str = ""
    profile: str = ""


class MwaaClient(Protocol):
    """What is needed of boto3's MWAA client."""

    def create_web_login_token(self, *, Name: str) -> Mapping[str, str]:
        """A token for the environment's web server, good for a minute."""
        ...


def client_for(place: Place, environment: Mapping[str, str] = os.environ) -> httpx.Client:
    """A client of Airflow's web server that is signed in. Raises :class:`CommandError` saying what is missing."""
    if place.mwaa and place.url:
        raise WrongUse("both --mwaa and --url are given", next_action="give one of them")
    if place.mwaa:
        return by_mwaa(mwaa_client(place), place.mwaa)
    if not place.url:
        raise WrongUse("it is not known where Airflow is", next_action=HOW)
    return by_address(place.url, environment)


def by_address(
    url: str, environment: Mapping[str, str], *, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """Sign in at an address, with a token or with user and password (Airflow's ``POST /auth/token``)."""
    client = httpx.Client(base_url=_checked(url), timeout=SECONDS, transport=transport)
    token = environment.get("FORENSICS_TOKEN", "")
    if not token:
        user, password = environment.get("FORENSICS_USER", ""), environment.get("FORENSICS_PASSWORD", "")
        if not (user and password):
            raise WrongUse("no token and no password are given", next_action=HOW)
        token = _token(client, user, password)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise WrongUse(f"{url!r} is no address", next_action="write it as https://airflow.example.com")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        why = "token and password would cross the network readable by everybody on the way"
        raise WrongUse(f"{url!r} is not https", why=why, next_action="use the https address of Airflow")
    return url.rstrip("/")


def _token(client: httpx.Client, user: str, password: str) -> str:
    try:
        answer = client.post("/auth/token", json={"username": user, "password": password})
    except httpx.HTTPError as error:
        raise unreachable(error, str(client.base_url)) from error
    if answer.status_code in {401, 403}:
        raise Refused(f"Airflow does not let {user} in", why=f"it answered {answer.status_code}", next_action="check FORENSICS_USER and FORENSICS_PASSWORD")  # fmt: skip
    try:
        return str(answer.json()["access_token"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{client.base_url} gave no token", why=f"POST /auth/token answered {answer.status_code}", next_action="check that the address is that of Airflow 3's UI, and that its auth manager hands out tokens") from error  # fmt: skip


def unreachable(error: httpx.HTTPError, where: str) -> Unreachable:
    """The error of a request that nobody answered."""
    return Unreachable(
        f"{where} does not answer",
        why=f"{type(error).__name__}: {error}",
        next_action="check the address and the way to it (VPN; a private MWAA web server is reached from its VPC alone);"
        " when Airflow is down: forensics break-glass --help",
    )


def mwaa_client(place: Place) -> MwaaClient:
    """boto3's client; boto3 is needed for this way alone."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise WrongUse("--mwaa needs boto3", next_action="pip install 'forensics-cli[mwaa]'") from error
    try:
        session = boto3.session.Session(profile_name=place.profile or None, region_name=place.region or None)
        return session.client("mwaa")
    except BotoCoreError as error:
        raise WrongUse(
            "no AWS session can be made", why=str(error), next_action="check --profile and --region"
        ) from error


def by_mwaa(aws: MwaaClient, name: str, *, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Sign in to an environment: CreateWebLoginToken, then the environment's own login, as AWS documents it.

    InvokeRestApi reaches Airflow's own API only; the product's pages and API are beside it, so the web server itself is asked.
    """
    answer = _login_token(aws, name)
    client = httpx.Client(base_url=f"https://{answer['WebServerHostname']}", timeout=SECONDS, transport=transport)
    try:
        signed_in = client.post(MWAA_LOGIN, data={"token": answer["WebToken"]})
    except httpx.HTTPError as error:
        raise unreachable(error, str(client.base_url)) from error
    token = signed_in.cookies.get(MWAA_COOKIE)
    if not token:
        raise Refused(f"environment {name} does not let you in", why=f"its login answered {signed_in.status_code}", next_action="check that your role may call airflow:CreateWebLoginToken with an Airflow role")  # fmt: skip
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def _login_token(aws: MwaaClient, name: str) -> Mapping[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return aws.create_web_login_token(Name=name)
    except ClientError as error:
        code, text = error.response["Error"].get("Code", ""), str(error)
        if code == "ResourceNotFoundException":
            raise NotFound(f"there is no environment {name}", why=text, next_action="check name, --region and --profile") from error  # fmt: skip
        raise Refused(f"AWS gives no login token for {name}", why=text, next_action="your role needs airflow:CreateWebLoginToken on role/<environment>/<Airflow role>") from error  # fmt: skip
    except BotoCoreError as error:
        raise Unreachable("AWS cannot be asked for a login token", why=str(error), next_action="check your AWS credentials, --region and the network") from error  # fmt: skip
