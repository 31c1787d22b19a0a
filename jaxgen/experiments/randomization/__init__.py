"""Randomization tests: what networks fit and how fast, with true and random labels and pixels, regularized or not.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530. A new preset is a function and a line in `presets`.
"""
