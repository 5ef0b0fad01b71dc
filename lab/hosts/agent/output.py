"""What a script wrote, kept up to a limit: a script that writes endlessly costs the lab no memory."""

from __future__ import annotations

FULL_BYTES = 1024 * 1024
STDOUT_CHARACTERS = 24_000
STDERR_CHARACTERS = 8_000
STDOUT_MARK = "\n---Output truncated---"
STDERR_MARK = "\n---Error truncated----"


class Capture:
    """The first `limit` bytes of a stream, and how many more there were."""

    def __init__(self, *, limit: int = FULL_BYTES) -> None:
        self.limit = limit
        self.dropped = 0
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """Add a piece of the stream."""
        room = self.limit - len(self._data)
        self._data += data[:room]
        self.dropped += max(0, len(data) - room)

    def data(self) -> bytes:
        """What was kept."""
        return bytes(self._data)

    def text(self) -> str:
        """What was kept, as text; bytes that are not UTF-8 become U+FFFD."""
        return self._data.decode(errors="replace")


def cut(text: str, *, limit: int, mark: str) -> str:
    """The first `limit` characters, ending with the agent's own mark when there were more."""
    return text if len(text) <= limit else text[: limit - len(mark)] + mark
