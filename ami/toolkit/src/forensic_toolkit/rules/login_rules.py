"""Rules on log-ins: passwords guessed fast, slowly or from many addresses, and log-ins from addresses that guessed."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.readers.login_logs import Login
from forensic_toolkit.results import SEVERITIES, Finding, Severity
from forensic_toolkit.times import zulu

# This many failures within the window are guessing; a log-in that follows within an hour was a guessed password.
BURST = 5
WINDOW = timedelta(minutes=10)
FOLLOWED_WITHIN = timedelta(hours=1)
# Slow guessing: so many failures in a row, without a log-in between, and a log-in within a week of the last of them.
SLOW, SLOW_WITHIN = 10, timedelta(days=7)
# Spread guessing: so many addresses try one user (or any) within the window around a log-in.
ADDRESSES, SPREAD_WINDOW = 10, timedelta(hours=6)
MISTYPED = 2
# On a host that takes keys only, whoever looks for the right user name fails some times before the key fits.
MANY = 20
_KEYS = ("publickey", "hostbased", "gssapi-with-mic")


def guessing(logins: Iterable[Login]) -> Iterator[Finding]:
    """Guessed passwords from one address (fast or slowly) and from many, and whether an attempt succeeded."""
    ordered = sorted(logins, key=lambda login: login.time)
    by_address: dict[str, list[Login]] = defaultdict(list)
    for login in ordered:
        by_address[login.address].append(login)
    named: set[datetime] = set()
    for address, attempts in by_address.items():
        for finding in _from_one(address, attempts):
            if "accepted_at" in finding.data and finding.time:
                named.add(finding.time)
            yield finding
    yield from _from_many(ordered, by_address, named=named)


def guessers(findings: Iterable[Finding]) -> set[str]:
    """The addresses that guessed by themselves; of a guessing that is spread over many none did more than somebody who mistypes."""
    return {str(finding.data["address"]) for finding in findings if "address" in finding.data}


def _from_one(address: str, ordered: list[Login]) -> Iterator[Finding]:
    failed = [login for login in ordered if not login.accepted]
    if not failed:
        return
    names = {login.user for login in failed}
    between = f"{zulu(failed[0].time)} and {zulu(failed[-1].time)}"
    tried = f"{len(failed)} failed log-ins from {address} between {between}, users {', '.join(sorted(names)[:10])}"
    data = {"address": address, "failed": len(failed), "users": sorted(names)[:50]}
    successes = (
        _success(login, row, ordered, tried, names=names, data=data) for login, row in _after_guessing(ordered)
    )
    gravest = min(successes, key=lambda finding: SEVERITIES.index(finding.severity), default=None)
    if gravest is not None:
        yield gravest
    elif _densest(failed) >= BURST or _longest_row(ordered) >= SLOW:
        yield Finding(
            title=f"Password guessing from {address}, without success",
            detail=tried,
            severity="low",
            confidence="high",
            source=failed[0].source,
            time=failed[0].time,
            technique="T1110",
            data=data,
            kind="Password guessing without success",
        )


def _success(
    login: Login, row: int, ordered: list[Login], tried: str, *, names: set[str], data: dict[str, Any]
) -> Finding:
    """A log-in after guessing of ``names``; ``row`` failures came since the log-in before it."""
    known, failures = _known_before(login, ordered), data["failed"]
    if login.how in _KEYS:
        return _by_key(login, tried, severity="high" if failures >= MANY and not known else "medium", data=data)
    if known and row < MANY:
        return _mistyped(login, tried, row=row, data=data)
    # Somebody who mistypes one name and logs in with another has guessed nothing; whoever tries many names, may hit at once.
    hit = login.user in names or len(names) > MISTYPED
    return _guessed(login, tried, failures=failures, data=data, severity="critical" if hit else "high")


def _known_before(login: Login, ordered: list[Login]) -> bool:
    """Whether this user had logged in from this address before the first failure there."""
    earlier = next((item for item in ordered if not item.accepted or item.user == login.user), login)
    return earlier.accepted and earlier is not login


def _by_key(login: Login, tried: str, *, severity: Severity, data: dict[str, Any]) -> Finding:
    """No password was guessed: who guessed has a key, stolen or their own."""
    return Finding(
        title=f"Log-in with a key from an address that guessed passwords: {login.user} from {login.address}",
        detail=f"{tried}; then {login.line}",
        severity=severity,
        confidence="medium",
        source=login.source,
        time=login.time,
        technique="T1078",
        data={**data, "accepted_user": login.user, "accepted_at": zulu(login.time), "how": login.how},
    )


def _guessed(success: Login, tried: str, *, failures: int, data: dict[str, Any], severity: Severity) -> Finding:
    return Finding(
        title=f"Password guessed: {success.user} from {success.address} after {failures} failures",
        detail=f"{tried}; then {success.line}",
        severity=severity,
        confidence="high" if severity == "critical" else "medium",
        source=success.source,
        time=success.time,
        technique="T1110",
        data={**data, "accepted_user": success.user, "accepted_at": zulu(success.time), "how": success.how},
    )


def _mistyped(login: Login, tried: str, *, row: int, data: dict[str, Any]) -> Finding:
    """Some failures of somebody who had logged in from there before: a mistyped password, or a guess from a known place."""
    rest = {name: value for name, value in data.items() if name != "address"}  # that address is no guesser's
    return Finding(
        title=f"Log-in after {row} failures, from an address that its user had used before: {login.user} from {login.address}",
        detail=f"{tried}; then {login.line}",
        severity="medium",
        confidence="low",
        source=login.source,
        time=login.time,
        technique="T1110",
        data={
            **rest,
            "from": login.address,
            "accepted_user": login.user,
            "accepted_at": zulu(login.time),
            "how": login.how,
        },
        kind="Log-in after failures, from an address that its user had used before",
    )


def _after_guessing(ordered: list[Login]) -> Iterator[tuple[Login, int]]:
    """Log-ins that follow a burst of failures, or by password many failures in a row, however slow they were; with that row's length."""
    row = 0
    last: datetime | None = None
    burst: datetime | None = None
    recent: deque[datetime] = deque(maxlen=BURST)
    for login in ordered:
        if not login.accepted:
            row, last = row + 1, login.time
            recent.append(login.time)
            if len(recent) == BURST and login.time - recent[0] <= WINDOW:
                burst = login.time
            continue
        slow = row >= SLOW and last is not None and login.time - last <= SLOW_WITHIN and login.how not in _KEYS
        if slow or (burst is not None and login.time - burst <= FOLLOWED_WITHIN):
            yield login, row
        row = 0


def _from_many(ordered: list[Login], by_address: dict[str, list[Login]], *, named: set[datetime]) -> Iterator[Finding]:
    """Log-ins by password from an address that was new and guessed itself, amid guessing of the same user by many."""
    failed = [login for login in ordered if not login.accepted]
    seen: set[str] = set()
    for login in ordered:
        if not login.accepted or login.how in _KEYS or login.time in named:
            seen.add(login.address) if login.accepted else None
            continue
        known, own = (
            login.address in seen,
            [item for item in by_address[login.address] if item.time <= login.time and not item.accepted],
        )
        seen.add(login.address)
        around = [item for item in failed if timedelta(0) <= login.time - item.time <= SPREAD_WINDOW]
        of_user = {item.address for item in around if item.user == login.user}
        if known or len(of_user | ({login.address} if own else set())) < ADDRESSES:
            continue
        tried = f"{len(around)} failed log-ins from {len({item.address for item in around})} addresses, {len(of_user)} of which tried {login.user}"
        data = {
            "address": login.address,
            "failed": len(around),
            "addresses": sorted(of_user)[:50],
            "users": [login.user],
        }
        yield _guessed(login, tried, failures=len(around), data=data, severity="critical" if own else "high")
    yield from _wave(failed)


def _wave(failed: list[Login]) -> Iterator[Finding]:
    """Guessing that is spread over many addresses, none of which tries often."""
    addresses: dict[str, list[Login]] = defaultdict(list)
    for login in failed:
        addresses[login.address].append(login)
    quiet = [
        login
        for attempts in addresses.values()
        if _densest(attempts) < BURST and len(attempts) < SLOW
        for login in attempts
    ]
    sources = {login.address for login in quiet}
    if len(sources) < ADDRESSES:
        return
    users = sorted({login.user for login in quiet})
    yield Finding(
        title=f"Password guessing spread over {len(sources)} addresses",
        detail=f"{len(quiet)} failed log-ins between {zulu(quiet[0].time)} and {zulu(max(login.time for login in quiet))}, "
        f"users {', '.join(users[:10])}",
        severity="low",
        confidence="medium",
        source=quiet[0].source,
        time=quiet[0].time,
        technique="T1110.003",
        data={"failed": len(quiet), "addresses": sorted(sources)[:50], "users": users[:50]},
    )


def _longest_row(ordered: list[Login]) -> int:
    """The most failures without a log-in between them: somebody who mistypes now and then is no guesser."""
    best = row = 0
    for login in ordered:
        row = 0 if login.accepted else row + 1
        best = max(best, row)
    return best


def _densest(failed: list[Login]) -> int:
    """The largest number of failures within one window."""
    best = start = 0
    for end, login in enumerate(failed):
        while login.time - failed[start].time > WINDOW:
            start += 1
        best = max(best, end - start + 1)
    return best


def accepted(logins: Iterable[Login], *, guessers: set[str]) -> Iterator[Finding]:
    """Further log-ins from addresses that guessed passwords, and the first from each other address."""
    seen: set[tuple[str, str]] = set()
    failed: Counter[str] = Counter()
    for login in sorted(logins, key=lambda login: login.time):
        key = (login.user, login.address)
        if not login.accepted:
            failed[login.address] += 1
        elif key not in seen:
            seen.add(key)
            hostile = login.address in guessers
            own = login.how in _KEYS and failed[login.address] < MANY
            yield Finding(
                title=f"Log-in of {login.user} from {login.address}",
                detail=login.line + ("; this address guessed passwords" if hostile else ""),
                severity=("medium" if own else "high") if hostile else "info",
                confidence="high" if hostile else "medium",
                source=login.source,
                time=login.time,
                technique="T1078",
                data={"user": login.user, "address": login.address, "how": login.how},
                kind=f"Log-in of {login.user}",
            )
