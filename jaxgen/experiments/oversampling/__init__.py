"""Oversampling: the effect of exact and noisy copies of scarce data on accuracy, by sample size.

`samples` draws the examples and copies of a member, `settings` lists the arms, `pairs` compares members of the same
run. A new arm is an entry of `settings` and a kind of noise in `jaxgen.transforms.copies`.
"""
