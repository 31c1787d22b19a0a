"""From what members got right to scores of examples: estimates, standard errors, intervals, rankings.

Each module is one estimator and names its source; functions take and return arrays. A new score is a function here and
a line in `registry.REGISTRY`, which says what it means, which end is suspicious and where its standard error is.
"""
