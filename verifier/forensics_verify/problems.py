"""What is wrong with a bundle: each problem names its part."""

from __future__ import annotations

from dataclasses import dataclass, field


def shown(value: object) -> str:
    """A bundle's own words with every character visible on which a terminal would act."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what."""

    part: str
    what: str

    def __str__(self) -> str:
        return shown(f"{self.part}: {self.what}")


@dataclass
class Findings:
    """Problems in the order in which they were met, what was found to be right, and what the bundle says it is."""

    problems: list[Problem] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)

    def wrong(self, part: str, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(part, what))

    def right(self, what: str, count: int = 1) -> None:
        """Count what was checked and found right."""
        self.checked[what] = self.checked.get(what, 0) + count

    def say(self, name: str, value: object) -> None:
        """Note what the bundle says of itself."""
        self.about[name] = shown(value)[:300]

    def remark(self, text: str) -> None:
        """Note what a reader must know though it is not wrong."""
        if text not in self.remarks:
            self.remarks.append(text)
