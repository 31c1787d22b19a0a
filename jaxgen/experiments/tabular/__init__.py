"""Rows of features in two unequal classes: label flips and resampling under common classifiers, in stratified folds.

The binary rule of S. Hu et al., ICML 2025 (PMLR 267:24535). `folds` judges one classifier on one fold, `run` all folds
of all tables, `results` aggregates them. A new treatment is an entry of `folds.resample`.
"""
