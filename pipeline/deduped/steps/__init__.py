"""Tables between the steps of one deduplication: each written once and read as often as needed.

So no step is computed twice, a plan never holds more than one step, sizes are known before the next step is chosen,
and nothing is needed that Spark Connect lacks (`checkpoint`) or that dies with an executor (`persist`).
"""
