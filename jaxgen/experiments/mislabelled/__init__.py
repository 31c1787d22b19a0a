"""Mislabelled examples: a C-score job whose examples are ranked by how little its models believe their labels.

`search` ranks, and estimates how many labels are wrong; `benchmark` puts known noise (`injection`) into the labels and
judges every score of the registry, beside cleanlab and Data-OOB (`baselines`). A new score is added to
`jaxgen.scores.registry` alone.
"""
