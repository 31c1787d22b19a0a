"""Long tails: two-stage label-noise rebalancing (LNR), its controls and baselines.

LNR is by S. Hu et al., ICML 2025 (PMLR 267:24535), the two stages by Z. Zhong et al., CVPR 2021 (MiSLAS). `job` plans
stage 1, `features` computes the features of its networks, `stage2` retrains classifiers on them. A new stage-2 method
is an entry of `methods`.
"""
