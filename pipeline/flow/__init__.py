"""The flow of a mix: recipe → the datasets that follow from it, stage by stage, each made unless it is there.

This is the one place that knows all stages. A job runs the flow up to its own stage and makes only that; `make mix`
makes whatever is missing, in one Spark session, which is started only if something is.

`flow` holds the stages in their order; a module of its own says how each follows from the recipe and the stage before:
`documents`, `filtered`, `deduped`, `tokenized` (`ahead`: as much of it in one job as a sample says is needed), `mixed`.
What they ask for is found or made by the `runner`.
"""

from pipeline.flow.flow import Finished, Flow
from pipeline.flow.runner import STAGES

__all__ = ["STAGES", "Finished", "Flow"]
