"""Finds the target's questions in query log files, in a process of its own (``forensics.confined``). Pure."""

from __future__ import annotations

from forensics.cloud_evidence.line_filter import LineFile, LinesSelected, select_lines
from forensics.cloud_evidence.query_lines import query
from forensics.confined import Channel
from forensics.models.base import AccountId, Utc
from forensics.models.outside import Outside

FUNCTION = "forensics.cloud_evidence.query_filter:select"


class QuerySelectOrder(Outside):
    """What the child looks for: questions of this instance, and from its addresses where a record names no instance."""

    account_id: AccountId
    instance_id: str
    addresses: tuple[str, ...]
    begin: Utc
    end: Utc


def select(order: bytes, channel: Channel) -> LinesSelected:
    """The child's work."""
    told = QuerySelectOrder.model_validate_json(order)
    return select_lines(channel, lambda: _QueryFile(told, channel))


class _QueryFile(LineFile):
    """One file."""

    def __init__(self, order: QuerySelectOrder, channel: Channel) -> None:
        super().__init__([w.encode() for w in (order.instance_id, *order.addresses)], channel)
        self._order = order

    def take(self, line: bytes) -> None:
        """A line in which the instance or one of its addresses stands."""
        found, order = query(line), self._order
        if found is None:
            self.unread += 1
            return
        ours = found.instance == order.instance_id or (not found.instance and found.source in order.addresses)
        if not ours or not order.begin <= found.time <= order.end:
            return
        if found.account != order.account_id:
            self.foreign += 1
            return
        self.keep(line.decode("utf-8", "replace").strip())
