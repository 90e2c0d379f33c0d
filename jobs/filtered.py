"""The job `filtered`: documents → those that pass their source's rules, with the signals of all.

spark-submit jobs/filtered.py --mix demo --root data
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("filtered"))
