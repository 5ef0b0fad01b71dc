"""CloudWatch Logs: FilterLogEvents with prefixes of streams, terms of which one is enough, and pages that are empty although more follow.

moto ignores ``logStreamNamePrefix`` and answers a pattern that it does not know with every event. Here a pattern is one term (``"a"``) or
some of which one has to stand in the message (``?"a" ?"b"``); any other is refused (CloudWatch Logs API reference, *FilterLogEvents*; user
guide, *Filter pattern syntax*). The first page has no events, as that reference says that a page may.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.responses import LogsResponse

from lab.emulator.patches.patching import replace

_TERMS = re.compile(r'(?:"[^"]+"|(?:\?"[^"]+"\s*)+|[A-Za-z0-9_-]+)')


def _filter_log_events(_original: Any) -> Any:
    def filter_log_events(self: Any) -> str:
        asked = {k: self._get_param(k) for k in ("logGroupName", "logStreamNamePrefix", "filterPattern", "nextToken")}
        begin, end = int(self._get_param("startTime") or 0), int(self._get_param("endTime") or 2**62)
        limit = min(int(self._get_param("limit") or 10_000), 10_000)
        group = self.logs_backend.groups.get(asked["logGroupName"])
        if group is None:
            raise ResourceNotFoundException
        pattern = asked["filterPattern"] or ""
        if pattern and not _TERMS.fullmatch(pattern):
            raise JsonRESTError("InvalidParameterException", "Invalid filter pattern")
        terms = re.findall(r'"([^"]+)"', pattern) or ([pattern] if pattern else [])
        found = [
            {**event.to_filter_dict(), "logStreamName": name}
            for name, stream in group.streams.items()
            for event in stream.events
            if name.startswith(asked["logStreamNamePrefix"] or "")
            and begin <= event.timestamp <= end
            and (not terms or any(term in event.message for term in terms))
        ]
        found.sort(key=lambda e: (e["timestamp"], e["eventId"]))
        if asked["nextToken"] is None:
            return json.dumps({"events": [], "searchedLogStreams": [], "nextToken": "from-0"})
        first = int(str(asked["nextToken"]).removeprefix("from-"))
        more = {"nextToken": f"from-{first + limit}"} if len(found) > first + limit else {}
        return json.dumps({"events": found[first : first + limit], "searchedLogStreams": [], **more})

    return filter_log_events


def apply() -> None:
    """Install the patch."""
    replace(LogsResponse, "filter_log_events", _filter_log_events)
