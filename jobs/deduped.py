"""The job `deduped`: filtered documents → one of each group of duplicates.

spark-submit jobs/deduped.py --mix demo --root data
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("deduped"))
