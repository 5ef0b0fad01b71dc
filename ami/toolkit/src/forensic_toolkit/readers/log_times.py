"""When the lines of a log were written, where they do not say the year or the offset: by their order over the whole file.

A log grows at its end, and its newest rotation is followed by the file itself. So lines are dated from the newest back: none is
later than the one after it. A line that cannot be dated this way gets no time, rather than a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from forensic_toolkit.times import UTC_ZONE

MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}
_PRIORITY = r"(?:<\d{1,3}>)?"
_BSD = re.compile(
    _PRIORITY + r"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: (\d{4})(?= ))? "
)
_ISO = re.compile(
    _PRIORITY + r"(?:1 )?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?(?=[ ,])"
)
# Programs write side by side: a line may be this much later than the one behind it.
SLACK = timedelta(hours=26)
_FOLD_SLACK = timedelta(seconds=5)
# A clock that was wrong for a moment: so many lines before it are within a day of what follows.
_WITNESSES, _APART, _NEAR = 5, timedelta(days=30), timedelta(days=2)
# A log is steady when it has lines of so many days; a silence of so many times its longest is then none, but a clock that was set.
_STEADY_DAYS, _OF_SILENCE = 5, 20
# So far a clock is believed to be set back, and over so many lines it may have been wrong.
_SET_BACK, _WRONG_LINES = timedelta(days=31), 20_000
_MOST_DOUBTS = 20
_OLDEST_YEAR = 1970
_YEAR = timedelta(days=366)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = {f"{second:02}": timedelta(seconds=min(second, 59)) for second in range(61)}


class Stamp(NamedTuple):
    """The time that a line states; ``year`` 0 when it states none, ``offset`` None when the system's zone applies."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    micro: int
    offset: timedelta | None
    end: int  # where the rest of the line begins


def stamp(line: str) -> Stamp | None:
    """The time at the start of a line: RFC 3164, 3339 and 5424, and their relatives that syslog daemons write."""
    if line[9:10] == ":" and line[12:13] == ":" and line[15:16] == " " and line[3:4] == " ":
        month, day, clock = MONTHS.get(line[:3]), line[4:6], line[7:15]
        if month and day.strip().isdigit() and clock[:2].isdigit() and clock[3:5].isdigit() and clock[6:].isdigit():
            return Stamp(0, month, int(day), int(clock[:2]), int(clock[3:5]), int(clock[6:]), 0, None, 16)
    if match := _BSD.match(line):
        name, day, year, hour, minute, second, fraction, later = match.groups()
        if name in MONTHS:
            number = int(year or later or 0)
            numbers = (number, MONTHS[name], int(day), int(hour), int(minute), int(second))
            return Stamp(*numbers, _micro(fraction), None, match.end())
        return None
    if match := _ISO.match(line):
        *parts, part, offset = match.groups()
        full = [int(number) for number in parts]
        return Stamp(full[0], full[1], full[2], full[3], full[4], full[5], _micro(part), _offset(offset), match.end())
    return None


def _micro(fraction: str | None) -> int:
    return int((fraction or "0")[:6].ljust(6, "0"))


def _offset(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text == "Z":
        return timedelta(0)
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timedelta(minutes=minutes if text[0] == "+" else -minutes)


@dataclass(slots=True)
class _Waiting:
    """A line in the hour that comes twice, until the other lines show which of the two it was in."""

    line: str
    first: datetime
    second: datetime


class _Rhythm:
    """How often a log is written to: the days that have lines, and the longest time between two of them."""

    __slots__ = ("_day", "days", "silence")

    def __init__(self) -> None:
        self.days, self.silence, self._day = 0, timedelta(days=1), (0, 0)

    def line(self, found: Stamp, since: timedelta) -> None:
        """A line, and how long after it the next one was written; behind the last one a log ends, which is no silence."""
        if self.days:
            self.silence = max(self.silence, since)
        if (found.month, found.day) != self._day:
            self._day = (found.month, found.day)
            self.days += 1

    def forbids(self, silence: timedelta) -> bool:
        """Whether a log like this is not silent for so long."""
        return self.days >= _STEADY_DAYS and silence > _OF_SILENCE * self.silence


class Backwards:
    """Dates lines that come from the newest to the oldest; ``latest`` is when the file was last written.

    One object dates all rotations of a log, the newest first.
    """

    def __init__(self, *, latest: datetime, zone: tzinfo = UTC_ZONE) -> None:
        self._zone = zone
        self._bound = self._latest = latest + timedelta(days=1)
        self._begun: datetime | None = None
        self._minutes: dict[tuple[int, ...], datetime | None] = {}
        self._first_pass = False
        self._rhythm = _Rhythm()
        self._wrong_until = 0  # up to which of the lines at hand the clock was wrong
        self.doubts: list[str] = []

    def older_file(self, latest: datetime, *, begun: datetime | None = None) -> None:
        """Go on with the rotation before: it was last written at ``latest``, and not before ``begun`` where that is known."""
        self._latest = latest + timedelta(days=1)
        self._bound = min(self._bound, self._latest)
        self._begun = begun

    def dated(self, lines: Sequence[str]) -> Iterator[tuple[str, datetime | None]]:
        """(line, time) of lines from the newest to the oldest; no time where none is certain."""
        waiting: list[_Waiting] = []
        minute, base = "", _EPOCH
        self._wrong_until = 0
        for index, line in enumerate(lines):
            # Most lines are of the same minute as the one before.
            if line[:13] == minute and line[15:16] == " " and (inside := _SECONDS.get(line[13:15])) is not None:
                moment = base + inside
                self._bound = min(self._bound, moment)
                yield line, moment
                continue
            found = stamp(line)
            times = self._times(found, lines, index) if found else None
            if found is None or times is None:
                yield line, None
                continue
            if times[0] != times[1]:
                minute = ""
                yield from self._folded(_Waiting(line, *times), waiting)
                continue
            yield from _undecided(waiting)
            self._first_pass = False
            if not found.year:
                self._rhythm.line(found, self._bound - times[0])
            self._bound = min(self._bound, times[0])
            minute = line[:13] if found.end == 16 and not found.year else ""
            base = times[0] - timedelta(seconds=min(found.second, 59))
            yield line, times[0]
        yield from _undecided(waiting)

    def _folded(self, item: _Waiting, waiting: list[_Waiting]) -> Iterator[tuple[str, datetime | None]]:
        """A line in the hour that comes twice: where the clock jumps forward going back, the first of the two begins."""
        if waiting and item.second > waiting[-1].second + _FOLD_SLACK and not self._first_pass:
            for one in waiting:
                yield one.line, one.second
            waiting.clear()
            self._first_pass = True
        if self._first_pass:
            self._bound = min(self._bound, item.first)
            yield item.line, item.first
            return
        if item.second > self._bound + _FOLD_SLACK:
            # What follows was written before the second of the two hours came to this minute.
            self._first_pass = True
            yield item.line, item.first
            return
        waiting.append(item)

    def _times(self, found: Stamp, lines: Sequence[str], index: int) -> tuple[datetime, datetime] | None:
        if found.offset is not None or found.year:
            return self._exact(found, found.year)
        year, later = self._bound.year + 1, None
        while year >= max(_OLDEST_YEAR, self._bound.year - 9):
            times = self._exact(found, year)
            if times is not None and times[0] <= self._bound + SLACK:
                if later and self._begun and times[0] < self._begun - SLACK:
                    # A year earlier the line would be older than its file: the clock went back.
                    return later
                if self._is_stray(times[0], lines, index):
                    return None
                if later and self._was_set_back(later[0], times[0], lines, index):
                    return later
                if self._bound - times[0] > _YEAR:
                    self._doubt(
                        f"more than a year without a line lies somewhere behind {times[0]:%Y-%m-%d}: "
                        f"lines from there to {self._bound:%Y-%m-%d} may be a year or more older than they were dated"
                    )
                return times
            if times is None and self._never_was(found, year):
                return None
            # the file's own time is of the clock that was set back: a line may be later
            later = times if times is not None and times[0] <= self._latest + _SET_BACK else None
            year -= 1
        return None

    def _doubt(self, what: str) -> None:
        if len(self.doubts) < _MOST_DOUBTS:
            self.doubts.append(what)
        elif len(self.doubts) == _MOST_DOUBTS:
            self.doubts.append("the clock was set or wrong more often: these are the newest times")

    def _never_was(self, found: Stamp, year: int) -> bool:
        """Whether this day of the year is past, but its clock jumped over the time: no other year is any likelier."""
        try:
            day = datetime(year, found.month, found.day, tzinfo=UTC)
        except ValueError:
            return False
        return day <= self._bound + SLACK

    def _was_set_back(self, later: datetime, earlier: datetime, lines: Sequence[str], index: int) -> bool:
        """Whether the clock was set back behind this line: a year earlier, a steady log would have been silent for too long."""
        if later - self._bound > _SET_BACK:
            return False
        rhythm = self._rhythm
        if rhythm.days < _STEADY_DAYS:
            rhythm = self._rhythm_before(later, lines, index)
        if not rhythm.forbids(self._bound - earlier):
            return False
        self._doubt(
            f"the clock was set back from {later:%Y-%m-%d %H:%M} to {self._bound:%Y-%m-%d %H:%M}, by the order of the lines: "
            "in a log that is written to all the time, nearly a year without a line is less likely"
        )
        self._bound = later
        return True

    def _rhythm_before(self, moment: datetime, lines: Sequence[str], index: int) -> _Rhythm:
        """The rhythm of the lines before one, up to the next time that the clock was set."""
        rhythm = _Rhythm()
        for line in lines[index : index + _WRONG_LINES]:
            found = stamp(line)
            if found is None or found.year:
                continue
            times = self._exact(found, moment.year)
            if times is None or times[0] > moment + SLACK:
                break
            rhythm.line(found, moment - times[0])
            moment = min(moment, times[0])
            if rhythm.days >= _STEADY_DAYS:
                break
        return rhythm

    def _is_stray(self, moment: datetime, lines: Sequence[str], index: int) -> bool:
        """Whether the clock was wrong for this line: those before it belong to what comes after it."""
        if self._bound - moment < _APART:
            return False
        if index < self._wrong_until:
            return True
        far = self._distance(stamp(lines[index]))
        ahead = [stamp(line) for line in lines[index + 1 : index + 1 + _WITNESSES]]
        if len(ahead) == _WITNESSES and all(self._distance(other) <= _NEAR for other in ahead) and self._is_jump(far):
            return True
        return self._rhythm.forbids(self._bound - moment) and self._returns(far, lines, index)

    def _returns(self, far: timedelta, lines: Sequence[str], index: int) -> bool:
        """Whether lines before this one belong to what comes after it: the clock of a steady log was wrong for a while.

        They are reached in one jump; the lines of a clock that was set back come near by and by.
        """
        for number in range(index + 1, min(len(lines), index + _WRONG_LINES)):
            distance = self._distance(stamp(lines[number]))
            if distance <= _NEAR:
                if not self._is_jump(far):
                    break
                self._wrong_until = number
                self._doubt(
                    f"the clock was wrong before {self._bound:%Y-%m-%d %H:%M}: {number - index} lines between two of that day got no time"
                )
                return True
            if distance < timedelta.max:
                far = distance
        return False

    def _is_jump(self, distance: timedelta) -> bool:
        return distance > _NEAR + 3 * self._rhythm.silence

    def _distance(self, other: Stamp | None) -> timedelta:
        """How far a line is from what comes after it, in the year that brings it nearest; the longest time there is where it has none."""
        if other is None or other.year:
            return timedelta.max
        years = (self._exact(other, self._bound.year + step) for step in (0, 1))
        return min((abs(self._bound - times[0]) for times in years if times is not None), default=timedelta.max)

    def _exact(self, found: Stamp, year: int) -> tuple[datetime, datetime] | None:
        """The time in UTC, twice: they differ in the hour that comes twice. None when there is no such time."""
        key = (
            year,
            found.month,
            found.day,
            found.hour,
            found.minute,
            -1 if found.offset is None else found.offset.seconds,
        )
        if key not in self._minutes:
            if len(self._minutes) > 100_000:
                self._minutes.clear()
            self._minutes[key] = None
            try:
                local = datetime(year, found.month, found.day, found.hour, found.minute, tzinfo=UTC)
            except ValueError:
                return None
            if found.offset is not None:
                self._minutes[key] = local - found.offset
            else:
                return self._of_zone(local, found, key)
        minute = self._minutes[key]
        if minute is None or found.second > 60:
            return None
        moment = minute + timedelta(seconds=min(found.second, 59), microseconds=found.micro)
        return moment, moment

    def _of_zone(self, local: datetime, found: Stamp, key: tuple[int, ...]) -> tuple[datetime, datetime] | None:
        inside = timedelta(seconds=min(found.second, 59), microseconds=found.micro)
        first = local.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        second = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        if first == second:
            self._minutes[key] = first
            return first + inside, first + inside
        if first > second:
            return None  # the clock went forward: this hour did not exist
        del self._minutes[key]
        return first + inside, second + inside


def _undecided(waiting: list[_Waiting]) -> Iterator[tuple[str, datetime | None]]:
    """Lines that may be of either hour."""
    for one in waiting:
        yield one.line, None
    waiting.clear()
