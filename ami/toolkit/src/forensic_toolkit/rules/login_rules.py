"""Rules on log-ins: passwords guessed fast, slowly or from many addresses, and log-ins from addresses that guessed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from forensic_toolkit.readers.login_logs import Login
from forensic_toolkit.results import Finding, Severity
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
    fast = _densest(failed) >= BURST
    success = next((login for login in ordered if login.accepted and fast and _follows(login, failed)), None)
    success = success or _after_a_row(ordered)
    if success is None and not fast and len(failed) < SLOW:
        return
    users = sorted({login.user for login in failed})
    between = f"{zulu(failed[0].time)} and {zulu(failed[-1].time)}"
    tried = f"{len(failed)} failed log-ins from {address} between {between}, users {', '.join(users[:10])}"
    data = {"address": address, "failed": len(failed), "users": users[:50]}
    if success is None:
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
        return
    if success.how in _KEYS:
        grave = len(failed) >= MANY and not _known_before(success, ordered)
        yield _by_key(success, tried, severity="high" if grave else "medium", data=data)
        return
    # Somebody who mistypes one name and logs in with another has guessed nothing; whoever tries many names, may hit at once.
    hit = success.user in users or len(users) > MISTYPED
    yield _guessed(success, tried, failures=len(failed), data=data, severity="critical" if hit else "high")


def _known_before(login: Login, ordered: list[Login]) -> bool:
    """Whether this user had logged in from this address before the first failure there."""
    earlier = next((item for item in ordered if not item.accepted or item.user == login.user), login)
    return earlier.accepted and earlier is not login


def _by_key(login: Login, tried: str, *, severity: Severity, data: dict[str, object]) -> Finding:
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


def _guessed(success: Login, tried: str, *, failures: int, data: dict[str, object], severity: Severity) -> Finding:
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


def _after_a_row(ordered: list[Login]) -> Login | None:
    """The first log-in by password after many failures in a row, however slow they were."""
    row = 0
    last: datetime | None = None
    for login in ordered:
        if not login.accepted:
            row, last = row + 1, login.time
        elif row >= SLOW and last is not None and login.time - last <= SLOW_WITHIN and login.how not in _KEYS:
            return login
        else:
            row = 0
    return None


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
