"""Randomization tests: how networks fit true and random labels and pixels, with and without regularization.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530. A new preset is a function and an entry in `presets`.
"""
