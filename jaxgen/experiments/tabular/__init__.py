"""Imbalanced binary tables: label flips and resampling with common classifiers, in stratified cross-validation.

The flips follow the binary rule of S. Hu et al., ICML 2025 (PMLR 267:24535). `folds` evaluates one classifier on one
fold, `run` all folds of all tables, `results` aggregates them. A new resampler is an entry of `folds.resample`.
"""
