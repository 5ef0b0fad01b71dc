"""What stands in front of moto: a record of every call, delays, and faults on demand.

A fault rule is JSON: which calls (`service`, `account`, and as regular expressions `action` and, on the
body, `match`), which of them (`skip`, `times`, `every`, `p` with `seed`), and what happens (`latency` in
seconds, `code` with `status` and `message`, `drop`, `then: "after"` to do the work and lose the answer).
"""

from __future__ import annotations

import dataclasses
import io
import logging
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from lab.emulator.contract import answers, watch
from lab.emulator.iam import sessions
from lab.emulator.judgement import Judgement, Silence
from lab.emulator.network import silence
from lab.emulator.patches import accounts, state
from lab.emulator.visibility import Visibility
from lab.emulator.wire import QUERY_SERVICES, error_body, refuse_with

log = logging.getLogger("lab")

CALLS_KEPT = 20_000
FAULTS_KEPT = 1000
# the error code by which each service reports a missing permission
_DENIALS = {
    "ec2": "UnauthorizedOperation",
    "s3": "AccessDenied",
    "sts": "AccessDenied",
    "iam": "AccessDenied",
    "sns": "AuthorizationError",
}
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class RuleError(ValueError):
    """A fault rule that cannot be understood."""


@dataclasses.dataclass
class FaultRule:
    """One rule and how often a call has matched it."""

    id: str
    service: str | None = None
    action: str = ".*"
    account: str | None = None
    match: str | None = None
    skip: int = 0
    times: int | None = None
    every: int = 1
    p: float = 1.0
    seed: int = 0
    latency: float = 0.0
    code: str | None = None
    status: int | None = None
    message: str = "injected by the lab"
    drop: bool = False
    then: str | None = None
    met: int = 0

    @classmethod
    def parse(cls, given: dict[str, Any], *, number: int) -> FaultRule:
        """Read one rule. Raises RuleError for an unknown field or a bad pattern."""
        known = {field.name for field in dataclasses.fields(cls)} - {"met"}
        unknown = sorted(set(given) - known)
        if unknown:
            raise RuleError(f"fault rule {number} has unknown fields {', '.join(unknown)}; known: {sorted(known)}")
        rule = cls(**({"id": f"rule-{number}"} | given))
        for pattern in (rule.action, rule.match or ""):
            try:
                re.compile(pattern)
            except re.error as error:
                raise RuleError(f"fault rule {rule.id}: {pattern!r} is not a regular expression: {error}") from error
        if rule.then not in (None, "after"):
            raise RuleError(f"fault rule {rule.id}: then can only be 'after', not {rule.then!r}")
        return rule

    def applies(self, call: Call, body: bytes) -> bool:
        """Whether the rule is about this call; counts it."""
        if self.service not in (None, call.service) or self.account not in (None, call.account):
            return False
        if not re.fullmatch(self.action, call.action):
            return False
        if self.match and not re.search(self.match.encode(), body):
            return False
        self.met += 1
        number = self.met - self.skip
        if number <= 0 or (number - 1) % self.every:
            return False
        if self.times is not None and (number - 1) // self.every >= self.times:
            return False
        return self.p >= 1 or random.Random(f"{self.seed}:{number}").random() < self.p


@dataclasses.dataclass
class Call:
    """One AWS call as it was recorded. `seconds` is how long the lab took; `status` is the HTTP status."""

    time: str
    service: str
    action: str
    account: str
    access_key: str
    region: str
    status: int = 0
    seconds: float = 0.0
    fault: str | None = None


class Gateway:
    """WSGI middleware around moto; `/_lab/` goes to the control routes."""

    def __init__(self, app: Wsgi, *, control: Wsgi) -> None:
        self._app = app
        self.watch = watch.of_environment()
        self._control = control
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.asked = 0  # all calls, those included that are no longer kept
        self.log: deque[dict[str, Any]] = deque(maxlen=FAULTS_KEPT)
        self.judgement = Judgement()
        self.iam = self.judgement.iam
        self.visibility = Visibility()

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        """Replace all fault rules; an empty list removes them. Raises RuleError."""
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise RuleError("fault rules are a JSON array of objects")
        parsed = [FaultRule.parse(rule, number=number) for number, rule in enumerate(rules, 1)]
        with self._lock:
            self._rules = parsed
            self.log.clear()

    def rules(self) -> list[dict[str, Any]]:
        """The rules with how often each was matched."""
        with self._lock:
            return [dataclasses.asdict(rule) for rule in self._rules]

    def _keep(self, call: Call) -> None:
        self.asked += 1
        self.calls.append(call)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_lab/"):
            return self._control(environ, start_response)
        if path.startswith("/moto-api"):
            return self._app(environ, start_response)
        body = _take_body(environ)
        call = describe_call(environ, body=body)
        if len(body) < int(environ.get("CONTENT_LENGTH") or 0):
            return self._incomplete(start_response, call)
        if call.service == "s3":
            refusal = _prepare_upload(environ)
            if refusal:
                call.status = 501
                self._keep(call)
                return refuse_with(
                    start_response, status=501, body=refusal, content_type="text/xml", code="NotImplemented"
                )
        if self.watch is None:
            return self._record(environ, start_response, call=call, body=body)
        headers: list[tuple[str, str]] = []

        def started(status: str, given: Any, *rest: Any) -> Any:
            headers[:] = given
            return start_response(status, given, *rest)

        answer = self._record(environ, started, call=call, body=body)
        # what a fault rule answers is a test's own, and silence (no status) is no answer
        return (
            answer
            if call.fault or not call.status
            else self._watched(answer, headers, call=call, environ=environ, body=body)
        )

    def _watched(
        self, answer: Iterable[bytes], headers: list[tuple[str, str]], *, call: Call, environ: Environ, body: bytes
    ) -> Iterable[bytes]:
        """The answer, after it was held against the model of its operation (lab/emulator/contract)."""
        assert self.watch is not None
        try:
            whole = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        version = ""
        if call.service == "elasticloadbalancing":
            version = "".join(parse_qs(body.decode("utf-8", "replace")).get("Version", []))
        client = answers.client_name(call.service, version=version)
        self.watch.answered(client, call.action, status=call.status, headers=headers, body=whole)
        return [whole]

    def _record(
        self, environ: Environ, start_response: Callable[..., Any], *, call: Call, body: bytes
    ) -> Iterable[bytes]:
        def started(status: str, headers: Any, *rest: Any) -> Any:
            call.status = int(status.split(" ", 1)[0])
            return start_response(status, headers, *rest)

        begun = time.monotonic()
        self._keep(call)
        try:
            if state.current().config.api_latency_seconds:
                time.sleep(state.current().config.api_latency_seconds)
            verdict = self.judgement.judge(call, environ, body)
            if isinstance(verdict, Silence):
                seconds = 0.0 if verdict.at_once else state.current().config.network_silence_seconds
                return silence.hold(start_response, seconds=seconds)
            if sessions.ended(call.access_key, state.monotonic()):
                code = "RequestExpired" if call.service == "ec2" else "ExpiredToken"
                out, content_type = error_body(call.service, code=code, message="The provided token has expired.")
                return refuse_with(started, status=403, body=out, content_type=content_type, code=code)
            if verdict is not None:
                code = _DENIALS.get(call.service, "AccessDeniedException")
                out, content_type = error_body(call.service, code=code, message=verdict.message)
                return refuse_with(started, status=403, body=out, content_type=content_type, code=code)
            rule = self._choose(call, body)
            if rule is None:
                return self.visibility.serve(self._app, environ, started, call=call, body=body)
            return self._inject(environ, started, rule=rule, call=call)
        except Exception as error:
            # what the emulator cannot do must appear in its log, not only as a bare 500 at the caller
            log.exception("%s.%s failed in the emulator", call.service, call.action)
            code = "NotImplemented" if isinstance(error, NotImplementedError) else "InternalFailure"
            text = f"the lab failed in {call.service}.{call.action}: {error!r}"
            out, content_type = error_body(call.service, code=code, message=text)
            status = 501 if code == "NotImplemented" else 500
            return refuse_with(started, status=status, body=out, content_type=content_type, code=code)
        finally:
            call.seconds = round(time.monotonic() - begun, 4)
            self.judgement.done(call)

    def _incomplete(self, start_response: Callable[..., Any], call: Call) -> Iterable[bytes]:
        """A caller that went away within its request: nothing is done with the part that came (S3, *IncompleteBody*)."""
        call.status = 400
        self._keep(call)
        text = "You did not provide the number of bytes specified by the Content-Length HTTP header."
        out, content_type = error_body(call.service, code="IncompleteBody", message=text)
        return refuse_with(start_response, status=400, body=out, content_type=content_type, code="IncompleteBody")

    def _choose(self, call: Call, body: bytes) -> FaultRule | None:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.applies(call, body)), None)
            if rule is not None:
                call.fault = rule.id
                moment = datetime.now(UTC).isoformat()
                self.log.append({"time": moment, "rule": rule.id, "service": call.service, "action": call.action})
        return rule

    def _inject(self, environ: Environ, started: Any, *, rule: FaultRule, call: Call) -> Iterable[bytes]:
        if rule.latency:
            time.sleep(rule.latency)
        if rule.then == "after":
            for _part in self._app(environ, lambda *_args, **_kwargs: None):
                pass
        if rule.drop:
            started("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1000")])
            return _broken_off()
        if rule.code is None and rule.then is None:
            return self._app(environ, started)
        code = rule.code or "InternalFailure"
        default = 503 if call.service == "ec2" else 500 if rule.code is None else 400
        body, content_type = error_body(call.service, code=code, message=rule.message)
        return refuse_with(started, status=rule.status or default, body=body, content_type=content_type, code=code)


def _broken_off() -> Iterator[bytes]:
    yield b"dropped"
    # granian closes the connection of a body that ends in an exception
    raise ConnectionAbortedError("dropped by a fault rule of the lab")


def _take_body(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length == 0:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _prepare_upload(environ: Environ) -> bytes | None:
    if environ.get("REQUEST_METHOD") != "PUT":
        return None
    # curl and wget call any body a form, and moto would then read it as one
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    if chunked and not environ.get("CONTENT_LENGTH") and not environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
        message = "A header you provided implies functionality that is not implemented (Transfer-Encoding)"
        return error_body("s3", code="NotImplemented", message=message)[0]
    return None


def describe_call(environ: Environ, *, body: bytes) -> Call:
    """Which service, action, account and Region a request is for."""
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found:
        access_key, region, service = found.groups()
    elif "X-Amz-Credential" in query:
        access_key, _day, region, service, _kind = (query["X-Amz-Credential"][0].split("/") + [""] * 5)[:5]
    else:
        access_key, region, service = "", "", "s3"
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        action = target.rsplit(".", 1)[-1]
    elif service in QUERY_SERVICES or service == "monitoring":
        form = parse_qs(body.decode("utf-8", "replace")) if body else query
        action = (form.get("Action") or query.get("Action") or [""])[0]
    elif service == "s3":
        action = _s3_action(environ, query)
    else:
        action = _rest_action(answers.client_name(service), environ)
    return Call(
        time=datetime.now(UTC).isoformat(),
        service=service,
        action=action,
        account=accounts.account_of(access_key) if access_key else "anonymous",
        access_key=access_key,
        region=region,
    )


def _rest_action(service: str, environ: Environ) -> str:
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    try:
        operation, _parameters = get_service_router(service).match(Request(dict(environ)))
    except (NotFound, NotImplementedError, LookupError, ValueError):
        return f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
    return str(operation.name)


_S3_SUBRESOURCES = {
    "retention": "ObjectRetention",
    "legal-hold": "ObjectLegalHold",
    "tagging": "ObjectTagging",
    "acl": "ObjectAcl",
    "attributes": "ObjectAttributes",
    "policy": "BucketPolicy",
    "versioning": "BucketVersioning",
    "encryption": "BucketEncryption",
    "object-lock": "ObjectLockConfiguration",
    "publicAccessBlock": "PublicAccessBlock",
    "lifecycle": "BucketLifecycleConfiguration",
    "notification": "BucketNotificationConfiguration",
    "location": "BucketLocation",
    "ownershipControls": "BucketOwnershipControls",
}


def _s3_action(environ: Environ, query: dict[str, list[str]]) -> str:
    method = environ.get("REQUEST_METHOD", "GET")
    has_key = len(environ.get("PATH_INFO", "/").strip("/").split("/", 1)) == 2
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        names = {
            "HEAD": "HeadObject",
            "PUT": "UploadPart",
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
        }
        return names.get(method, "ListParts")
    verb = method.capitalize()
    for name, subject in _S3_SUBRESOURCES.items():
        if name in query:
            return verb + (
                subject.replace("Object", "Bucket") if not has_key and name in ("tagging", "acl") else subject
            )
    if "delete" in query:
        return "DeleteObjects"
    if has_key:
        return "CopyObject" if environ.get("HTTP_X_AMZ_COPY_SOURCE") else f"{verb}Object"
    if method == "GET":
        if environ.get("PATH_INFO", "/") == "/":
            return "ListBuckets"
        return "ListObjectVersions" if "versions" in query else "ListObjectsV2"
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(method, f"{verb}Bucket")
