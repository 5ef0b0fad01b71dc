"""What is wrong with a bundle: each problem names its part."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what."""

    part: str
    what: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


@dataclass
class Findings:
    """Problems in the order in which they were met, and what was found to be right."""

    problems: list[Problem] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def wrong(self, part: str, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(part, what))

    def right(self, what: str, count: int = 1) -> None:
        """Count what was checked and found right."""
        self.checked[what] = self.checked.get(what, 0) + count

    def remark(self, text: str) -> None:
        """Note what a reader must know though it is not wrong."""
        if text not in self.remarks:
            self.remarks.append(text)
