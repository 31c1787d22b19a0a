"""Do two scores agree? Rank correlations of two score files, matched example by example, with intervals.

`matching` pairs the examples of two files and says what it left out, `recompute` makes scores from published runs,
`report` writes the tables. A new layout of files is a reader in `jaxgen.data.published`.
"""
