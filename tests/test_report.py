"""What is printed of a finished mix beside its tables; those are looked at where a flow has made one (`test_flow`)."""

import dataclasses
from pathlib import Path

from pipeline import plan as plans
from pipeline import report
from pipeline.plan import PlanStage
from tests.tiny_mix import make_tiny_mix


def test_stages_that_begin_behind_the_budget_are_told(tmp_path: Path) -> None:
    plan = plans.load(str(make_tiny_mix(tmp_path, budget_samples=100)))
    weights = plan.stages[0].weights

    def said(*untils: int | None) -> str:
        stages = tuple(PlanStage(until=until, weights=weights) for until in untils)
        return report.never_served(dataclasses.replace(plan, stages=stages))

    assert said(None) == said(99, None) == said(50, 99, None) == ""
    assert said(100, None).startswith("stages.1: never served, as the budget of 100 samples ends before; raise")
    assert said(50, 200, 300, None).startswith("stages.2, stages.3: never served")
