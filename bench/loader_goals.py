"""What must hold of the loader, as the run has found it."""

from dataclasses import dataclass

from bench.loader_rates import LIMIT, LITDATA, OURS, STREAMING, STREAMING_DEFAULTS, Costs
from bench.measure import Cost
from bench.table import figure

SHARE_OF_LIMIT, TIMES_LITDATA, TIMES_STREAMING = 0.6, 4.0, 40.0
IMPORT_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Goal:
    """`what` must be at least `goal`, or with `at_most` no more; `found` is what it is."""

    what: str
    goal: float
    found: float
    at_most: bool = False

    @property
    def holds(self) -> bool:
        return self.found <= self.goal if self.at_most else self.found >= self.goal


def of_rates(costs: Costs, what: str) -> list[Goal]:
    """The goals of samples/s, of the readings that `what` names."""
    ours = costs[OURS].rate
    return [
        Goal(what=f"{what}: share of the limit", goal=SHARE_OF_LIMIT, found=ours / costs[LIMIT].rate),
        Goal(what=f"{what}: times litdata", goal=TIMES_LITDATA, found=ours / costs[LITDATA].rate),
        *(
            Goal(what=f"{what}: times {name}", goal=TIMES_STREAMING, found=ours / costs[name].rate)
            for name in (STREAMING, STREAMING_DEFAULTS)
        ),
    ]


def of_import(cost: Cost) -> Goal:
    """The goal of the import, without torch."""
    return Goal(what="import: seconds", goal=IMPORT_SECONDS, found=cost.wall_seconds, at_most=True)


def show_goals(goals: list[Goal]) -> None:
    """Print them, those that do not hold marked."""
    print("\nmust hold")
    width = max(len(goal.what) for goal in goals)
    for goal in goals:
        sign, verdict = "≤" if goal.at_most else "≥", "holds" if goal.holds else "DOES NOT HOLD"
        print(f"  {goal.what.ljust(width)}  {sign} {figure(goal.goal)}  {figure(goal.found)}  {verdict}")
