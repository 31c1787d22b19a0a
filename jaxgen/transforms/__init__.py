"""Pure functions of a key and arrays that change what a member sees: labels, pixels, copies, augmentation, corruption.

``transform(key, arrays, *, rate) -> transformed`` (with the mask of what changed); rate 0 is the identity. A new kind
of label noise is a function and a line in `labels.KINDS`, a new augmentation a line in `augment.AUGMENTATIONS`, a new
corruption a module below `corruptions`.
"""
