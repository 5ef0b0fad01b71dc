"""Access logs of web servers: common, combined, combined with the virtual host before it, and JSON (nginx, Apache, Caddy, Traefik).

Sources: Apache's mod_log_config (CustomLog formats, ``vhost_combined``), nginx's ``log_format`` with ``escape=json``, Caddy's structured
access logs, Traefik's access log fields.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

_LINE = re.compile(
    r"^(?:(?P<host>[\w.\-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?) )?(?P<address>[0-9a-fA-F.:]+|[\w.\-]+) \S+ (?P<user>.*?) \[(?P<time>[^\]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<target>(?:\\.|[^"\\ ])+)(?: [^"]*)?" (?P<status>\d{3}) (?P<size>\S+)'
    r'(?: "(?P<referer>(?:\\.|[^"\\])*)" "(?P<agent>(?:\\.|[^"\\])*)")?'
)
# Names of fields in JSON logs, the first that is there counts.
_NAMES = {
    "address": ("remote_addr", "remote_ip", "client_ip", "clientip", "ClientHost", "ClientAddr", "remoteip", "client"),
    "user": ("remote_user", "user", "ClientUsername", "user_id"),
    "method": ("request_method", "method", "RequestMethod", "verb"),
    "target": ("request_uri", "uri", "RequestPath", "path", "url", "request_path"),
    "status": ("status", "DownstreamStatus", "OriginStatus", "response", "status_code"),
    "referer": ("http_referer", "referer", "referrer", "request_Referer", "Referer"),
    "agent": ("http_user_agent", "user_agent", "agent", "request_User-Agent", "User-Agent", "userAgent"),
    "time": ("time_iso8601", "time_local", "@timestamp", "StartUTC", "timestamp", "time", "ts", "msec"),
}
_DECODINGS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a server logged it; ``status`` is 0 where the log has none."""

    time: datetime
    address: str
    user: str
    method: str
    target: str
    status: int
    referer: str
    agent: str

    def texts(self) -> tuple[str, ...]:
        """What the client sent, decoded as often as it was encoded: target, referer, agent, user."""
        return tuple(decoded(text) for text in (self.target, self.referer, self.agent, self.user))


def parse(line: str) -> Request | None:
    """One line of an access log, or None."""
    if line.lstrip().startswith("{"):
        return _json(line)
    match = _LINE.match(line)
    when = moment(match["time"]) if match else None
    if match is None or when is None:
        return None
    more = {name: match[name] or "" for name in ("address", "user", "method", "target", "referer", "agent")}
    return Request(time=when, status=int(match["status"]), **more)


def decoded(text: str) -> str:
    """A text without its percent encoding, also where that was applied twice; backslash escapes of a log are undone."""
    text = re.sub(r"\\x([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)
    for _ in range(_DECODINGS):
        plain = unquote_plus(text)
        if plain == text:
            break
        text = plain
    return text


def _json(line: str) -> Request | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    request = document.get("request")
    whole: dict[str, Any] = {**document, **(request if isinstance(request, dict) else {})}
    headers = whole.get("headers")
    if isinstance(headers, dict):  # Caddy: lists of values by name
        whole |= {name: value[0] if isinstance(value, list) and value else value for name, value in headers.items()}
    found = {
        name: next((whole[key] for key in keys if whole.get(key) not in (None, "")), "")
        for name, keys in _NAMES.items()
    }
    if isinstance(request, str):  # "GET /path HTTP/1.1"
        method, _, rest = request.partition(" ")
        found["method"], found["target"] = found["method"] or method, found["target"] or rest.rsplit(" ", 1)[0]
    when = moment(found.pop("time"))
    if when is None or not found["method"] or not found["target"]:
        return None
    status = str(found.pop("status"))
    texts = {name: str(value) for name, value in found.items()}
    return Request(time=when, status=int(status) if status.isdigit() else 0, **texts)


def moment(value: object) -> datetime | None:
    """The time of a line: Apache's form, ISO 8601, or seconds since 1970; None for anything else."""
    try:
        if isinstance(value, int | float) or re.fullmatch(r"\d{9,11}(\.\d+)?", str(value)):
            return datetime.fromtimestamp(float(str(value)), UTC)
        text = str(value)
        if re.match(r"\d{4}-", text):
            when = datetime.fromisoformat(text)
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
        return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
