"""The base of all checks: one thing that is tried on one subject, and what its failure means."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from forensics.errors import ForensicsError
from forensics.models.preflight import CheckResult, CheckStatus
from forensics.preflight.explain import next_action_for

log = logging.getLogger(__name__)


class BrokenError(ForensicsError):
    """The check found what is wrong itself: AWS answered, but not with what the product needs."""

    retryable = False


class NotTriedError(ForensicsError):
    """The check could not be made; that says nothing about its subject."""

    retryable = False


class Check(ABC):
    """One line of a preflight.

    ``name`` is what the line is about and who owns it (docs/preflight.md lists them). ``full``: it makes something that
    takes time to make or remove, and belongs to the full part only. ``limit`` is in seconds.
    """

    name: ClassVar[str]
    full: ClassVar[bool] = False
    limit: ClassVar[float] = 45.0

    def __init__(self, subject: str = "") -> None:
        self.subject = subject

    @abstractmethod
    def attempt(self) -> str:
        """Try it; returns what was found, in words.

        Raises :class:`ForensicsError` when it is broken, :class:`NotTriedError` when it could not be tried.
        """

    def repair(self, error: ForensicsError) -> str:
        """What a person does about an error of this check; by default what its cause says."""
        return next_action_for(error)

    def run(self) -> CheckResult:
        """Try it; never raises."""
        began = time.monotonic()
        status, detail, action = self._outcome()
        return self.line(status, detail, action, seconds=time.monotonic() - began)

    def line(self, status: CheckStatus, detail: str, action: str = "", *, seconds: float = 0.0) -> CheckResult:
        """A line of this check."""
        return CheckResult(
            check=self.name,
            subject=self.subject,
            status=status,
            detail=detail,
            next_action=action,
            seconds=round(seconds, 2),
        ).cut()

    def _outcome(self) -> tuple[CheckStatus, str, str]:
        try:
            return CheckStatus.OK, self.attempt(), ""
        except NotTriedError as error:
            return CheckStatus.NOT_TRIED, error.message, error.next_action
        except BrokenError as error:
            return CheckStatus.BROKEN, error.message, error.next_action
        except ForensicsError as error:
            return CheckStatus.BROKEN, error.message, self.repair(error)
        except Exception as error:  # the edge: one defect must not hide what the other checks found
            log.exception("check %s %s ended with a defect", self.name, self.subject)
            why = f"the check itself failed: {type(error).__name__}: {error}"
            return CheckStatus.NOT_TRIED, why, "report this as a defect; the other lines are valid"
