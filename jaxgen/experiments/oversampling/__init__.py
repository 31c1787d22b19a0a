"""Oversampling: what exact or noisy copies of scarce data buy, beside augmentation, as samples grow.

`samples` says which examples and copies a member has, `settings` which arms are compared, `pairs` pairs their members
by run. A new arm is an entry of `settings` and a kind of copy in `jaxgen.transforms.copies`.
"""
