"""The job `tokenized`: deduped documents → tokenizer and MDS shards, as many as the recipe's budget needs.

spark-submit jobs/tokenized.py --mix demo --root data
"""

import sys

from pipeline.job import run

if __name__ == "__main__":
    sys.exit(run("tokenized"))
