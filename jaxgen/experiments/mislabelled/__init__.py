"""Finds mislabelled examples: ranks the examples of a C-score job by how much their labels are to be doubted.

`search` ranks the examples and estimates how many labels are wrong. `benchmark` injects known label noise
(`injection`) and compares all scores of `jaxgen.scores.registry` with cleanlab and Data-OOB (`baselines`).
"""
