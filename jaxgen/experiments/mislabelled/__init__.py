"""Finds mislabelled examples: ranks the examples of a C-score job by how much their labels are to be doubted.

`search` ranks the examples and estimates how many labels are wrong; `threshold_samples` trains further models that flag
some of them. `benchmark` injects known label noise, drawn or from a file (`injection`), compares all scores of
`jaxgen.scores.registry` with cleanlab and Data-OOB (`baselines`), and judges the flagged examples (`flagging`).
"""
