"""What a person asks a sweep for, and what a host and a snapshot are asked: indicators by how they are looked for. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from forensics.errors import SweepError
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.sweeps import SweepTarget
from forensics.printable import count, one_line

MOST_INDICATORS = 100
MOST_OF_A_KIND = 50  # as the documents' patterns have it
MOST_TARGETS = 200
_AGAIN = "start the DAG again with correct parameters; nothing was looked at"
_WORDS = {
    "hash": IndicatorKind.HASH, "sha256": IndicatorKind.HASH, "address": IndicatorKind.ADDRESS, "ip": IndicatorKind.ADDRESS,
    "domain": IndicatorKind.DOMAIN, "user": IndicatorKind.USER, "file": IndicatorKind.FILE_NAME, "key": IndicatorKind.ACCESS_KEY,
}  # fmt: skip
# What each kind may be made of, so that it can be a parameter of a document (ssm_documents/sweep_linux.yaml) and say something.
_FORMS = {
    IndicatorKind.HASH: re.compile(r"[0-9a-f]{64}"),
    IndicatorKind.DOMAIN: re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,23}"),
    IndicatorKind.ACCESS_KEY: re.compile(r"A(?:KIA|SIA)[A-Z2-7]{16}"),
    IndicatorKind.USER: re.compile(r"[A-Za-z0-9._@+-]{2,64}"),
    IndicatorKind.FILE_NAME: re.compile(r"(?=.*[a-z0-9])[a-z0-9._+@%=~-]{4,120}"),
}
_AS_WRITTEN = frozenset({IndicatorKind.ACCESS_KEY, IndicatorKind.USER})


def sweep_id(run_id: str, *, at: datetime) -> str:
    """Id of a run's sweep: the same in every try."""
    return f"sw-{at:%Y%m%d}-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"


def read_indicators(text: str) -> list[Indicator]:
    """Indicators that a person has written: one a line, ``kind: value`` or a value that shows its kind.

    Raises :class:`SweepError` naming every line that is none.
    """
    found: dict[str, Indicator] = {}
    wrong = []
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        made = _read(line)
        if made is None or searchable(made):
            wrong.append(f"{one_line(line)[:80]!r}")
        else:
            found.setdefault(made.name, made)
    if wrong:
        kinds = ", ".join(dict.fromkeys(_WORDS))
        msg = f"{count(len(wrong), 'line')} of the indicators cannot be read: {', '.join(wrong[:10])}"
        raise SweepError(
            msg, next_action=f"write one a line, as a value or with its kind before it ({kinds}); {_AGAIN}"
        )
    return list(found.values())


def _read(line: str) -> Indicator | None:
    word, colon, rest = line.partition(":")
    kind = _WORDS.get(word.strip().lower()) if colon else None
    value = rest.strip() if kind else line
    kind = kind or _kind_of(value)
    if kind is None or not value or len(value) > 300:
        return None
    value = value if kind in _AS_WRITTEN else value.lower().rstrip(".")
    if kind is IndicatorKind.ADDRESS:
        value = _address(value)
    return Indicator(kind=kind, value=value, where="named by a person") if value else None


def _kind_of(value: str) -> IndicatorKind | None:
    if _address(value):
        return IndicatorKind.ADDRESS
    if _FORMS[IndicatorKind.HASH].fullmatch(value.lower()):
        return IndicatorKind.HASH
    if _FORMS[IndicatorKind.ACCESS_KEY].fullmatch(value):
        return IndicatorKind.ACCESS_KEY
    return IndicatorKind.DOMAIN if _FORMS[IndicatorKind.DOMAIN].fullmatch(value.lower().rstrip(".")) else None


def _address(value: str) -> str:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return "" if getattr(found, "scope_id", None) else str(mapped or found)


def searchable(indicator: Indicator) -> str:
    """Why an indicator cannot be looked for; empty when it can."""
    if indicator.kind is IndicatorKind.ADDRESS:
        return "" if _address(indicator.value) == indicator.value else "it is no address"
    if _FORMS[indicator.kind].fullmatch(indicator.value):
        return ""
    return "it has signs that a search on a host does not take, or is too short or too long"


def chosen(indicators: Iterable[Indicator]) -> tuple[list[Indicator], list[str]]:
    """Those that are looked for, each once, and (as words) those that are not, with the reason."""
    found: dict[str, Indicator] = {}
    left: list[str] = []
    for indicator in indicators:
        of_kind = sum(i.kind is indicator.kind for i in found.values())
        why = searchable(indicator)
        if not why and (len(found) >= MOST_INDICATORS or of_kind >= MOST_OF_A_KIND):
            why = f"a sweep takes {MOST_INDICATORS} indicators, {MOST_OF_A_KIND} of a kind"
        if indicator.name in found:
            continue
        if why:
            left.append(f"{indicator.kind.value} {indicator.value[:80]}: {why}")
        else:
            found[indicator.name] = indicator
    return list(found.values()), left


def read_targets(text: str, *, prefix: str, account_id: str, region: str) -> list[SweepTarget]:
    """Targets, one a line or with blanks between them: ``i-…``, or ``account/Region/i-…`` where it is elsewhere.

    Raises :class:`SweepError` naming every one that is none.
    """
    found: dict[str, SweepTarget] = {}
    wrong = []
    for word in re.split(r"[\s,]+", text.strip()):
        if not word:
            continue
        parts = word.split("/")
        place = parts[:2] if len(parts) == 3 else [account_id, region]
        try:
            target = SweepTarget(account_id=place[0], region=place[1], subject=parts[-1])
            if len(parts) not in {1, 3} or not target.subject.startswith(f"{prefix}-"):
                raise ValueError(word)
        except (ValidationError, ValueError):
            wrong.append(repr(one_line(word)[:80]))
            continue
        found.setdefault(target.name, target)
    if wrong:
        msg = f"{count(len(wrong), 'target')} cannot be read: {', '.join(wrong[:10])}"
        form = f"{prefix}-0123456789abcdef0, with account and Region in their fields, or 123456789012/eu-central-1/{prefix}-…"
        raise SweepError(msg, next_action=f"write {form}; {_AGAIN}")
    return list(found.values())


def out_of_scope(target: SweepTarget, *, accounts: Sequence[str], regions: Sequence[str]) -> str:
    """Why the deployment does not touch a target; empty when it does. Without a list of accounts their roles decide."""
    if accounts and target.account_id not in accounts:
        return f"account {target.account_id} is none of the deployment's member accounts (setting forensics.member_accounts)"
    if target.region not in regions:
        return f"{target.region} is none of the deployment's Regions of targets (setting forensics.member_regions)"
    return ""


@dataclass(frozen=True)
class HostQuestion:
    """The parameters of the document ``sweep``, and the indicator behind each number of an answer."""

    hashes: list[Indicator] = field(default_factory=list)
    names: list[Indicator] = field(default_factory=list)
    texts: list[Indicator] = field(default_factory=list)
    addresses: list[Indicator] = field(default_factory=list)
    users: list[Indicator] = field(default_factory=list)

    @classmethod
    def of(cls, indicators: Sequence[Indicator]) -> HostQuestion:
        """Which indicator is looked for in which way."""

        def kinds(*wanted: IndicatorKind) -> list[Indicator]:
            return [i for i in indicators if i.kind in wanted]

        texts = kinds(IndicatorKind.ADDRESS, IndicatorKind.DOMAIN, IndicatorKind.ACCESS_KEY)
        return cls(
            hashes=kinds(IndicatorKind.HASH),
            names=kinds(IndicatorKind.FILE_NAME),
            texts=texts,
            addresses=kinds(IndicatorKind.ADDRESS),
            users=kinds(IndicatorKind.USER),
        )

    def parameters(self) -> dict[str, str]:
        """Values of the document's parameters; ``-`` where there is nothing of a kind."""
        kernel = [f"{i.value}={kernel_form(i.value)}" for i in self.addresses]
        lists = {"Hashes": self.hashes, "Names": self.names, "Texts": self.texts, "Users": self.users}
        return {
            **{name: ",".join(i.value for i in held) or "-" for name, held in lists.items()},
            "Addresses": ",".join(kernel) or "-",
        }

    def named(self, kind: str, number: int) -> Indicator | None:
        """The indicator that an answer means; None when it was not asked for."""
        lists = {
            "hash": self.hashes, "name": self.names, "text": self.texts, "connection": self.addresses, "user": self.users
        }  # fmt: skip
        held = lists.get(kind, [])
        return held[number - 1] if 1 <= number <= len(held) else None


def kernel_form(address: str) -> str:
    """An address as /proc/net/tcp of a little-endian machine has it: each word of four bytes turned round."""
    packed = ipaddress.ip_address(address).packed
    return b"".join(packed[at : at + 4][::-1] for at in range(0, len(packed), 4)).hex().upper()


def raw_patterns(indicators: Sequence[Indicator]) -> Iterator[tuple[Indicator, bytes]]:
    """What of an indicator can be seen in raw blocks, in small letters: as UTF-8, and as UTF-16 as Windows writes names.

    Digests cannot, users say nothing there: a name of a user is a word of a text.
    """
    for indicator in indicators:
        if indicator.kind not in {IndicatorKind.HASH, IndicatorKind.USER}:
            for encoding in ("utf-8", "utf-16-le"):
                yield indicator, indicator.value.lower().encode(encoding)


def not_raw(indicators: Sequence[Indicator]) -> list[str]:
    """Kinds that are not looked for on a snapshot, with the reason."""
    kinds = {i.kind for i in indicators}
    why = {
        IndicatorKind.HASH: "digests: raw blocks have no files; open a case on the snapshot to hash its files",
        IndicatorKind.USER: "users: their names are common words in raw blocks; open a case on the snapshot",
    }
    return [said for kind, said in why.items() if kind in kinds]


def open_command(target: SweepTarget, sweep_id: str) -> str:
    """The command that opens a case on a target (docs/command.md)."""
    place = f"--account {target.account_id} --in-region {target.region}"
    return f'forensics start {target.subject} {place} --reason "sweep {sweep_id}"'
