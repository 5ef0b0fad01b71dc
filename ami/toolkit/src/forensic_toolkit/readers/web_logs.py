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
    r'"(?:(?P<method>[A-Z]+) (?P<target>(?:\\.|[^"\\ ])+)(?: [^"]*)?|(?P<other>(?:\\.|[^"\\])*))" (?P<status>\d{3}) (?P<size>\S+)'
    r'(?: "(?P<referer>(?:\\.|[^"\\])*)" "(?P<agent>(?:\\.|[^"\\])*)")?'
)
# Nearly every line has this form, which is matched in a third of the time: no virtual host, no spaces in the user, nothing escaped.
_COMMON = re.compile(
    r'([0-9a-zA-Z.:_\-]+) \S+ (\S+) \[([^\]]+)\] "([A-Z]+) ([^"\\ ]+)(?: [^"\\]*)?" (\d{3}) \S+(?:\s*$| "([^"\\]*)" "([^"\\]*)")'
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
    found = parts(line)
    when = moment(found[2]) if found else None
    return request_of(found, when) if found and when else None


Parts = tuple[str, str, str, str, str, str, str | None, str | None]


def parts(line: str) -> Parts | None:
    """Address, user, time, method, target, status, referer and agent as the line has them; None for another form.

    Where the client sent no request, the method is empty and the target is what it sent.
    """
    common = _COMMON.match(line)
    if common is not None:
        return common.groups()  # type: ignore[return-value]
    match = _LINE.match(line)
    if match is None:
        return None
    # what came was no request: the start of a TLS connection, another protocol, nothing
    method, target = (match["method"], match["target"]) if match["method"] else ("", match["other"] or "-")
    return (
        match["address"],
        match["user"],
        match["time"],
        method,
        target,
        match["status"],
        match["referer"],
        match["agent"],
    )


def request_of(found: Parts, when: datetime) -> Request:
    """The request of a line's parts."""
    address, user, _, method, target, status, referer, agent = found
    return Request(when, address, user, method, target, int(status), referer or "", agent or "")


_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}


class Clock:
    """Seconds since 1970 of Apache's times (``01/Mar/2026:10:00:00 +0100``): what two lines share is worked out once."""

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], float] = {}

    def seconds(self, text: str) -> float | None:
        """The time of a line; None for what is no time."""
        try:
            key = (text[:12], text[20:])
            day = self._days.get(key)
            if day is None:
                day = self._days[key] = self._midnight(text)
            hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
        except (ValueError, KeyError, OverflowError):
            day = None
        if day is None or len(text) != 26 or hour > 23 or minute > 59 or second > 60:
            when = moment(text)
            return None if when is None else when.timestamp()
        return day + hour * 3600 + minute * 60 + second

    @staticmethod
    def _midnight(text: str) -> float:
        offset = (int(text[22:24]) * 60 + int(text[24:26])) * (-60 if text[21] == "-" else 60)
        if text[2] + text[6] + text[11] + text[20] != "//: " or text[21] not in "+-":
            raise ValueError(text)
        return datetime(int(text[7:11]), _MONTHS[text[3:6]], int(text[:2]), tzinfo=UTC).timestamp() - offset


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
