"""What a person can meet, as what, why and what to do next; each kind has its exit status."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of the command. 2 is argparse's own for a wrong command line, 130 the shell's for Ctrl-C."""

    GOOD = 0
    BAD = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    UNKNOWN = 5
    WAITS = 6
    INTERRUPTED = 130


class CommandError(Exception):
    """The command could not do what was asked."""

    def __init__(self, what: str, *, why: str = "", next_action: str, status: Exit) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_action = next_action
        self.status = status


class Unreachable(CommandError):
    """Nobody answered, or the answer was not one of Airflow's."""

    def __init__(self, what: str, *, why: str = "", next_action: str) -> None:
        super().__init__(what, why=why, next_action=next_action, status=Exit.UNREACHABLE)


class Refused(CommandError):
    """Airflow does not know who asks, or does not let them."""

    def __init__(self, what: str, *, why: str = "", next_action: str) -> None:
        super().__init__(what, why=why, next_action=next_action, status=Exit.REFUSED)


class NotFound(CommandError):
    """What was asked for does not exist."""

    def __init__(self, what: str, *, why: str = "", next_action: str) -> None:
        super().__init__(what, why=why, next_action=next_action, status=Exit.UNKNOWN)


class WrongUse(CommandError):
    """The command line, or the environment's variables, say something that cannot be."""

    def __init__(self, what: str, *, why: str = "", next_action: str) -> None:
        super().__init__(what, why=why, next_action=next_action, status=Exit.USAGE)
