"""Pure functions of a key and arrays that transform training data: labels, pixels, noise, augmentation, corruption.

Most have the form ``transform(key, arrays, *, rate) -> transformed``, where rate 0 is the identity. To add a kind of
label noise, write a function and add it to `labels.KINDS`; an augmentation is an entry of `augment.CHANGES` or
`augment.MIXES`. For a corruption see `corruptions`.
"""
