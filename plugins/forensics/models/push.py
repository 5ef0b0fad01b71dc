"""Cases on their way to other systems: how one is reached, and what the case records of it."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import Model, Utc
from forensics.models.outside import Outside


class PushAccess(Model):
    """How a system is reached, as its secret says it.

    ``kind`` names the plug. ``options`` are for plugs of one's own. ``ca_certificates``: in PEM, where its certificate is none of a public authority.
    """

    kind: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    server: str = Field(max_length=500, pattern=r"^(https://[^\s@?#]+|http://127\.0\.0\.1:\d+)$")
    username: str = Field(default="", max_length=200)
    password: str = Field(default="", max_length=500)
    http_basic: bool = Field(default=False, description="name and password with each request, as a proxy wants them")
    api_key: str = Field(default="", max_length=5000)
    sketch_id: int = Field(default=0, ge=0, description="a sketch that gets every case; 0: each case has its own")
    folder_id: int = Field(default=0, ge=0, description="a folder that gets every case's; 0: none")
    ca_certificates: str = Field(default="", max_length=200_000, pattern=r"^(-----BEGIN CERTIFICATE-----[\s\S]+)?$")
    options: dict[str, str] = Field(default_factory=dict, max_length=50)


class Pushed(Outside):
    """A case in another system: where, which version of its timeline, how much of it."""

    name: str = Field(max_length=40)
    kind: str = Field(max_length=40)
    at: Utc
    version: str = Field(max_length=40, description="of the stored timeline")
    where: str = Field(max_length=600, description="address there")
    entries: int = Field(default=0, ge=0)
    objects: int = Field(default=0, ge=0)
    left_out: tuple[str, ...] = Field(default=(), max_length=100, description="what was not pushed, and why")
    note: str = Field(default="", max_length=300, description="what the system says of it")
