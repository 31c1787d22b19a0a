"""Robustness: accuracy of networks on corrupted images, and the effect of training on corrupted images.

D. Hendrycks, T. Dietterich. Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR 2019.
https://arxiv.org/abs/1903.12261. `versions` draws the corrupted images, `folder` reads published ones.
"""
