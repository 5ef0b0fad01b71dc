"""Lines of text logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from forensic_toolkit.readers import system_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.system_logs import Line

MODIFIED = datetime(2026, 3, 2, tzinfo=UTC)


def lines(text: str, *, zone: tzinfo = UTC) -> list[Line]:
    """The lines of a log that was last written at MODIFIED."""
    return list(system_logs.parse(text, artifact=Artifact("x", "/var/log/secure", 1), modified=MODIFIED, zone=zone))


def test_lines_without_offset_are_in_the_systems_zone() -> None:
    (line,) = lines("Mar  1 10:20:00 web sshd[9]: x", zone=timezone(timedelta(hours=2)))
    assert line.time == datetime(2026, 3, 1, 8, 20, tzinfo=UTC)
    assert (line.host, line.program, line.pid, line.message) == ("web", "sshd", "9", "x")
