"""``make capacity``: from cases per hour to environment class, workers, triggerers, forensic instances and dollars a month.

Inputs and where they are from: ``infra/capacity.yaml``; prices: ``infra/prices.yaml``; the formula is in docs/capacity.md. What a storm asks of
AWS's APIs is printed with it (:mod:`.api_budget`).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.deployment import api_budget, cost, templates

FILE = templates.ROOT / "infra" / "capacity.yaml"
RATES = (1.0, 10.0, 50.0, 100.0, 500.0)
# Airflow keeps an instance's case for as long as it runs; more at once wait in the queue of runs.
RUNS_AT_ONCE = 50


class CapacityError(ValueError):
    """An input that does not exist or is not a number; or a rate that no environment carries. The message says what to do."""


@dataclass(frozen=True)
class Plan:
    """What a rate of cases needs."""

    cases_per_hour: float
    at_once: float
    slots: float
    cores: float
    environment: str
    workers: int
    triggerers: int
    instances: float
    environment_usd: float
    cases_usd: float


def read(file: Path = FILE) -> dict[str, Any]:
    """The inputs and the classes."""
    return dict(yaml.safe_load(file.read_text("utf-8")))


def inputs(table: Mapping[str, Any], changed: Mapping[str, float] | None = None) -> dict[str, float]:
    """Values of all inputs; raises :class:`CapacityError` for a name that is none."""
    known = {name: float(row["value"]) for name, row in table["inputs"].items()}
    if strange := set(changed or ()) - set(known):
        msg = f"no input {', '.join(sorted(strange))}; infra/capacity.yaml has {', '.join(sorted(known))}"
        raise CapacityError(msg)
    return {**known, **(changed or {})}


def plan(rate: float, given: Mapping[str, float], table: Mapping[str, Any], prices: Mapping[str, Any]) -> Plan:
    """The cheapest environment that carries so many cases per hour; raises :class:`CapacityError` where none does."""
    starts = given["tasks"] + given["resumes"]
    at_once = rate * given["case_hours"]
    slots = rate / 3600 * starts * given["slot_seconds"] / given["occupancy"]
    cores = rate / 3600 * starts * given["start_processor_seconds"] / given["busy"]
    best: tuple[float, str, int] | None = None
    for name, row in table["classes"].items():
        workers = max(1, math.ceil(slots / row["tasks"]), math.ceil(cores / row["vcpu"]))
        if workers <= row["workers"]:
            hourly = float(prices["prices"][cost.ENVIRONMENT]["hourly"][name]) + (workers - 1) * row["worker_hourly"]
            best = min(filter(None, (best, (hourly, name, workers))))
    if best is None:
        msg = f"{rate:g} cases per hour need {slots:.0f} slots and {cores:.0f} vCPU: more than the largest environment has; deploy a second one for part of the accounts"
        raise CapacityError(msg)
    hourly, name, workers = best
    hours = float(prices["hours"])
    a_case = cost.total(cost.case(prices, instance_hours=given["instance_hours"], worker_hours=0.0))
    return Plan(
        cases_per_hour=rate,
        at_once=at_once,
        slots=slots,
        cores=cores,
        environment=name,
        workers=workers,
        triggerers=max(1, math.ceil(at_once * given["waits"] / table["triggerer"]["waits"])),
        instances=rate * given["instance_hours"],
        environment_usd=hourly * hours,
        cases_usd=a_case * rate * hours,
    )


def text(plans: Sequence[Plan]) -> str:
    """The plans as a table, with what does not fit an environment as MWAA makes them."""
    lines = [
        f"{'cases/h':>8s}{'at once':>9s}{'slots':>7s}{'vCPU':>6s}  {'environment':12s}{'workers':>8s}{'triggerers':>11s}{'instances':>10s}{'environment':>12s}{'cases':>12s}"
    ]
    lines += [
        f"{p.cases_per_hour:>8g}{p.at_once:>9.0f}{p.slots:>7.1f}{p.cores:>6.1f}  {p.environment:12s}{p.workers:>8d}{p.triggerers:>11d}{p.instances:>10.0f}{p.environment_usd:>12,.0f}{p.cases_usd:>12,.0f}"
        for p in plans
    ]
    lines.append("The last two columns are USD a month, if so many come in every hour of it.")
    if any(p.at_once > RUNS_AT_ONCE for p in plans):
        lines.append(
            f"More than {RUNS_AT_ONCE} cases at once wait for their turn: raise max_active_runs of forensic_case for them."
        )
    if any(p.triggerers > 1 for p in plans):
        lines.append("MWAA runs one triggerer: raise triggerer.capacity, or deploy a second environment.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.capacity", description=__doc__)
    parser.add_argument("--cases-per-hour", type=float, default=0.0, help="one rate; default: a table of some")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of an input (infra/capacity.yaml)",
    )
    parser.add_argument(
        "--storm", type=int, default=100, help="cases at the same moment in one account (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    table, prices = read(), cost.read()
    try:
        if given.cases_per_hour < 0 or given.storm < 1:
            raise CapacityError("--cases-per-hour and --storm are positive numbers")
        values = inputs(table, _changed(given.set))
        rates = (given.cases_per_hour,) if given.cases_per_hour else RATES
        print(text([plan(rate, values, table, prices) for rate in rates]))
    except CapacityError as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 2
    print()
    print(api_budget.text(given.storm, [*api_budget.storm(given.storm, api_budget.counted(), api_budget.quotas())]))
    return 0


def _changed(words: Sequence[str]) -> dict[str, float]:
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise CapacityError(f"{word}: expected NAME=NUMBER") from None
        if found[name] <= 0:
            raise CapacityError(f"{word}: expected a number above zero")
    return found


if __name__ == "__main__":
    sys.exit(main())
