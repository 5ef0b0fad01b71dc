"""What a script wrote, kept up to a limit."""

from __future__ import annotations

from lab.hosts.agent.output import Capture, cut


def test_captures_and_cuts_keep_to_their_limits() -> None:
    capture = Capture(limit=10)
    for _ in range(1000):
        capture.write(b"12345678")
    assert (capture.text(), capture.dropped) == ("1234567812", 7990)
    assert cut("x" * 100, limit=30, mark="\n--cut--") == "x" * 22 + "\n--cut--"
    assert cut("short", limit=30, mark="\n--cut--") == "short"
