"""C-scores: accuracy on an example of models that were trained without it, averaged over subset ratios.

Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206; memorization and influence after Feldman and
Zhang, NeurIPS 2020, https://arxiv.org/abs/2008.03703. `job` plans the runs of every ratio, whose subsets
`jaxgen.scores.designs` draws, and `run` trains them. After training all examples are predicted, by
`jaxgen.engine.tracking` where they are tracked, as by default, or else by `jaxgen.engine.evaluation`; the store keeps
the `jaxgen.types.Outcome`, a bit an example. `collect` reads it: `jaxgen.scores.heldout` computes C-scores and held-out
accuracies, other modules the rest, and all go into `jaxgen.types.Scores`. `report` makes ``cscores.npz``, the figures
and the text that is printed, by `jaxgen.views.summary`. Where flags hold lists, a table of settings is printed instead
(`sweep_table`), of accuracies that `jaxgen.jobs.trainer.accuracies` stored with each run.
"""
