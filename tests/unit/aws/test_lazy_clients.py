"""Every client is the one of botocore's service that its type names."""

from __future__ import annotations

import typing
from functools import cached_property

import botocore.session
import pytest

from forensics.aws.lazy_clients import LazyClient, TypedClients

NAMES = [name for name, value in vars(TypedClients).items() if isinstance(value, cached_property)]


class Asked(TypedClients):
    """Says which service it was asked for."""

    def client(self, service: str) -> typing.Any:
        assert service in botocore.session.get_session().get_available_services()
        return type("Client", (), {"asked": service})()


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_a_service_of_botocore_and_made_when_it_is_used(name: str) -> None:
    found = getattr(Asked(), name)
    assert isinstance(found, LazyClient)
    assert found.asked in {name, "route53resolver"}
