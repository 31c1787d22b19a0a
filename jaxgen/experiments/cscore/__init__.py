"""C-scores: accuracy on an example of models that were trained without it, averaged over subset ratios.

Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206; memorization and influence after Feldman and
Zhang, NeurIPS 2020, https://arxiv.org/abs/2008.03703. `job` plans the runs of every ratio, whose subsets
`jaxgen.scores.designs` draws, and `run` trains them. `jaxgen.engine.evaluation` predicts all examples; the store keeps
its `jaxgen.types.Outcome` bit by bit. `collect` reads it and makes `jaxgen.types.Scores` by the estimators of
`jaxgen.scores`: scores and held-out accuracies by `heldout`. `report` writes ``cscores.npz`` and figures, and prints
`jaxgen.views.summary`. Sweeps also have a table of settings (`sweep_table`), from accuracies that are stored with each
run.
"""
