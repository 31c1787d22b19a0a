"""Scores of examples from the predictions of an ensemble: estimates, standard errors, intervals, rankings.

An estimator is a module, which names its source; `designs` draws the subsets that runs train on, `metrics` and
`example_stats` hold what is measured of single models and examples. Functions take and return arrays. To add a score,
write a function here and add an entry to `registry.REGISTRY`: its meaning, its suspicious end and its source.
"""
