"""All stages of a mix in one session; what is there already is left as it is.

spark-submit jobs/mix.py --mix demo --root data        (or: make mix MIX=demo ROOT=data)
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("mix"))
