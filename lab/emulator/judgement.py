"""May this request be answered at all? First the network, then the endpoint's policy, then the identity's and the resource's policies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from lab.emulator.iam import requests, sessions
from lab.emulator.iam.enforcement import Enforcement
from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import Session
from lab.emulator.network import network
from lab.emulator.network.routes import NoPath


@dataclass(frozen=True)
class Silence:
    """Nothing answers: there is no way from the caller to the service. ``at_once``: and the caller's resolver says so."""

    reason: str
    at_once: bool = False


@dataclass(frozen=True)
class Denial:
    """AWS's message to a caller who may not."""

    message: str


class Judgement:
    """What stands between a caller and a service."""

    def __init__(self) -> None:
        self.iam = Enforcement()
        self.network = network.renew()

    def judge(self, call: Any, environ: dict[str, Any], body: bytes) -> Silence | Denial | None:
        """None when the call passes. Sets ``call.fault`` when the network is what stops it."""
        session = sessions.find(call.access_key) if self.network.on or self.iam.on else None
        held = session if self.iam.on else None
        place = self.network.place_of(call.access_key, environ.get("REMOTE_ADDR", "")) if self.network.on else None
        inside = place is not None and bool(place.subnets)
        if held is None and not inside:
            return None
        path = None
        if place is not None and inside:
            try:
                path = self.network.path(place, call.service, call.region or place.region)
            except NoPath as error:
                self.network.note(place, call, str(error))
                call.fault = "no path"
                return Silence(str(error), error.at_once)
        if held is None and (path is None or not path.endpoint):
            return None
        given = requests.asked(call, environ, body)
        # nobody's request has no account in which more could be looked up
        questions = list(islice(requests.authorizations(given), 1 if call.account == "anonymous" else None))
        if place is not None and path is not None:
            refused = self.network.refusal(path, place, session, call.account, call, questions)
            if refused:
                denial = _denial(session, call, *refused)
                self.network.note(place, call, f"{path.how}: {denial.message}")
                call.fault = "endpoint policy"
                return denial
        refused = self.iam.refusal(held, given, questions) if held else None
        return _denial(session, call, *refused) if refused else None

    def done(self, call: Any) -> None:
        """A call has been carried out: the network may be another now."""
        if call.service in ("ec2", "cloudformation") and not call.action.startswith(("Describe", "Get", "List")):
            self.network.changed()


def _denial(session: Session | None, call: Any, request: Request, words: str) -> Denial:
    who = (
        session.arn if session else "anonymous" if call.account == "anonymous" else f"arn:aws:iam::{call.account}:root"
    )
    # S3 quotes what the request is about, EC2 has a sentence of its own before (recorded answers of both)
    resource = f'"{request.resource}"' if call.service == "s3" else request.resource
    before = "You are not authorized to perform this operation. " if call.service == "ec2" else ""
    return Denial(f"{before}User: {who} is not authorized to perform: {request.action} on resource: {resource} {words}")
