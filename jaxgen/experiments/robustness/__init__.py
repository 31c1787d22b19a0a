"""Robustness: what corruption of test images does to networks, and what training on corrupted images does.

D. Hendrycks, T. Dietterich. Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR 2019.
https://arxiv.org/abs/1903.12261. `versions` draws the corrupted copies, `folder` reads those of others.
"""
