"""Long tails: label-noise rebalancing (LNR) in two stages, beside its controls and baselines.

S. Hu et al., ICML 2025 (PMLR 267:24535), on the stages of Z. Zhong et al., CVPR 2021 (MiSLAS). `job` plans stage 1,
`features` shows its networks all examples, `stage2` trains classifiers on what they found. A new method of stage 2 is
an entry of `methods`.
"""
