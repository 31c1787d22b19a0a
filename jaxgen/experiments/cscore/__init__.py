"""C-scores: accuracy on an example of models that were trained without it, averaged over subset ratios.

Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206; memorization and influence after Feldman and
Zhang, NeurIPS 2020, https://arxiv.org/abs/2008.03703. `job` plans the runs of every ratio and `run` trains them;
`collect` turns their predictions into `jaxgen.types.Scores`, and `report` writes ``cscores.npz`` and the figures.
"""
