"""Rules on log-ins: passwords guessed from one address, and log-ins from addresses that guessed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from forensic_toolkit.readers.login_logs import Login
from forensic_toolkit.results import Finding
from forensic_toolkit.times import zulu

# This many failures within the window are guessing; a log-in that follows within an hour was a guessed password.
BURST = 5
WINDOW = timedelta(minutes=10)
FOLLOWED_WITHIN = timedelta(hours=1)


def guessing(logins: Iterable[Login]) -> Iterator[Finding]:
    """Bursts of failed attempts from one address, and whether an attempt succeeded afterwards."""
    by_address: dict[str, list[Login]] = defaultdict(list)
    for login in logins:
        by_address[login.address].append(login)
    for address, all_of_it in by_address.items():
        ordered = sorted(all_of_it, key=lambda login: login.time)
        failed = [login for login in ordered if not login.accepted]
        if _densest(failed) < BURST:
            continue
        success = next((login for login in ordered if login.accepted and _follows(login, failed)), None)
        users = sorted({login.user for login in failed})
        between = f"{zulu(failed[0].time)} and {zulu(failed[-1].time)}"
        tried = f"{len(failed)} failed log-ins from {address} between {between}"
        data = {"address": address, "failed": len(failed), "users": users[:50]}
        if success is None:
            yield Finding(
                title=f"Password guessing from {address}, without success",
                detail=f"{tried}, users {', '.join(users[:10])}",
                severity="low",
                confidence="high",
                source=failed[0].source,
                time=failed[0].time,
                technique="T1110",
                data=data,
            )
        else:
            yield Finding(
                title=f"Password guessed: {success.user} from {address} after {len(failed)} failures",
                detail=f"{tried}, users {', '.join(users[:10])}; then {success.line}",
                severity="critical",
                confidence="high",
                source=success.source,
                time=success.time,
                technique="T1110",
                data={
                    **data,
                    "accepted_user": success.user,
                    "accepted_at": zulu(success.time),
                    "how": success.how,
                },
            )


def _densest(failed: list[Login]) -> int:
    """The largest number of failures within one window."""
    best = start = 0
    for end, login in enumerate(failed):
        while login.time - failed[start].time > WINDOW:
            start += 1
        best = max(best, end - start + 1)
    return best


def _follows(login: Login, failed: list[Login]) -> bool:
    return any(timedelta(0) <= login.time - other.time <= FOLLOWED_WITHIN for other in failed)


def accepted(logins: Iterable[Login], *, guessers: set[str]) -> Iterator[Finding]:
    """Further log-ins from addresses that guessed passwords, and the first from each other address."""
    seen: set[tuple[str, str]] = set()
    for login in sorted(logins, key=lambda login: login.time):
        key = (login.user, login.address)
        if login.accepted and key not in seen:
            seen.add(key)
            hostile = login.address in guessers
            yield Finding(
                title=f"Log-in of {login.user} from {login.address}",
                detail=login.line + ("; this address guessed passwords" if hostile else ""),
                severity="high" if hostile else "info",
                confidence="high" if hostile else "medium",
                source=login.source,
                time=login.time,
                technique="T1078",
                data={"user": login.user, "address": login.address, "how": login.how},
            )
