"""The job `mixed`: measured counts and recipe → the plan, mixes/<name>/mix.json.

spark-submit jobs/mixed.py --mix demo --root data
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("mixed"))
