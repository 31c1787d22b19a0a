"""Scores of examples from the predictions of an ensemble: estimates, standard errors, intervals, rankings.

Each module is one estimator and names its source. Functions take and return arrays. To add a score, write a function
here and add an entry to `registry.REGISTRY`: its meaning, its suspicious end and its source.
"""
