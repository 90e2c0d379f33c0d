"""Measured counts + recipe → the plan: which ranges of each source a mix takes, its exact weights, and the accounts."""
