"""Compares two score files: correlations with intervals over the examples that both have.

`matching` matches the examples of two files, `recompute` computes scores from published runs, `report` writes the
tables. Readers of published file formats are in `jaxgen.data.published.scores`.
"""
