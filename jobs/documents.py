"""The job `documents`: raw files → documents and quarantine.

spark-submit jobs/documents.py --mix demo --root data
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("documents"))
