"""A preflight's scope on a hook whose sessions call nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from forensics.aws.session import AwsSession, Scope
from forensics.errors import AccessDeniedError
from forensics.models.base import Model
from forensics.naming import role_arn
from forensics.preflight.scope import PreflightScope
from forensics.settings import Settings, load
from tests.conftest import ENVIRONMENT

FORENSIC, MEMBER, SECURITY, REGION = "222233334444", "333344445555", "111122223333", "eu-central-1"


class QuietSession(AwsSession):
    """A session without credentials."""

    def impatient(self, factor: float = 1.0) -> AwsSession:
        return self

    def seconds_left(self) -> float | None:
        return 3000.0


@dataclass
class FakeHook:
    """Sessions by scope; ``refused`` phases cannot be assumed."""

    settings: Settings
    refused: set[str] = field(default_factory=set)
    asked: list[Scope] = field(default_factory=list)

    def own(self) -> AwsSession:
        return QuietSession(boto=None, account_id=FORENSIC, region=REGION)  # type: ignore[arg-type]

    def session(self, scope: Scope) -> AwsSession:
        self.asked.append(scope)
        if scope.phase in self.refused:
            raise AccessDeniedError(f"assume role {scope.phase}: denied")
        return QuietSession(boto=None, account_id=scope.account_id, region=scope.region, case_id=scope.case_id)  # type: ignore[arg-type]

    def role_arn(self, scope: Scope) -> str:
        return role_arn(scope.account_id, f"forensics-{scope.phase}", region=scope.region)

    def forensic_scope(self, case_id: str, phase: str = "analyse", *, region: str = "") -> Scope:
        return Scope(FORENSIC, region or REGION, phase, case_id)


class Items:
    """Some items of the case store."""

    def __init__(self, **held: Model) -> None:
        self.held: dict[str, Any] = held

    def get(self, case_id: str, sk: str, kind: type[Model]) -> Any:
        return self.held.get(sk)

    def put(self, case_id: str, sk: str, value: Model) -> None:
        self.held[sk] = value

    def put_once(self, case_id: str, sk: str, value: Model) -> bool:
        if sk in self.held:
            return False
        self.held[sk] = value
        return True

    def list_cases(self, *, limit: int) -> tuple[list[Any], None]:
        return [], None


def settings_with(**changes: str) -> Settings:
    """Complete settings with one member account."""
    given = {"member_accounts": MEMBER, "administrator_accounts": SECURITY, **changes}
    return load({**ENVIRONMENT, **{f"AIRFLOW__FORENSICS__{n.upper()}": v for n, v in given.items()}})


@pytest.fixture
def hook() -> FakeHook:
    """The hook of one test."""
    return FakeHook(settings_with())


@pytest.fixture
def scope(hook: FakeHook) -> PreflightScope:
    """Its scope."""
    return PreflightScope(hook, run="r")  # type: ignore[arg-type]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, Any], None]:
    """Give a class of gateways one object for every session."""

    def answer(kind: type, gateway: Any) -> None:
        monkeypatch.setattr(kind, "of", lambda *_: gateway)

    return answer
