"""Shardmill: raw text to the training data of large language models, and on to the trainers.

The flow; each stage is named for the dataset it produces, and that one word is the job, the package, the schema, the
folder of the data and the folder of its tests::

    raw files ─▶ documents ─▶ filtered ─▶ deduped ─▶ tokenized (MDS shards) ─▶ mixed (plan) ─▶ loader ─▶ GPU trainers
                 └──────────────── Spark jobs, one machine or a cluster ────────────────┘   └ Python import ┘

How to read the code: `recipe` (what the user asks for), `flow` (which datasets follow from it, in the order of the
stages), then a stage's package: its pure modules compute over arrays and strings, its `spark.py` is glue. `plan` is
what the stages leave to the loader, `order` says which sample stands at which position, `loader` serves it.

House rules, each enforced by a test (`tests/test_house_rules.py`) or the linter:

1. Spark is imported only in `**/spark.py`, `**/datasource.py`, `session.py`, `spark_daemon.py`, `jobs/` and their body
   `job.py`, tests and bench (a name under `if TYPE_CHECKING` is no import); numba never by `loader/`, `order/`, `mds/`;
   torch only where a tensor is made. Importing the loader without torch takes < 0.5 s.
2. A stage imports the modules directly below `pipeline/` and `tables`, `mds`, `order`; never a sibling stage: stages
   meet at a schema.
3. Only the DataFrame API (no RDDs, no JVM calls): it must run on Spark Connect and on every vendor's cluster.
4. Everything that computes is a pure function over arrays or strings, tested without Spark in milliseconds; a stage's
   parameters are one frozen, keyword-only dataclass beside its code.
"""
