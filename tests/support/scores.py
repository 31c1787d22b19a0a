"""Score files' contents, made up."""

import numpy as np

from jaxgen.scores.registry import REGISTRY
from jaxgen.types import Scores


def make_scores(dataset, seed=0, **changes):
    rng = np.random.default_rng(seed)
    count = len(dataset.labels)
    values = {
        "scores": rng.uniform(size=count),
        "labels": dataset.labels.astype(np.int64),
        "ids": dataset.ids,
        "stderr": np.full(count, 0.1),
        "counts": np.full((2, count), 5),
        "scores_by_ratio": rng.uniform(size=(2, count)),
        "subset_ratios": np.array([0.3, 0.7]),
        "num_runs": 10,
        "class_names": np.asarray(dataset.class_names),
        "heldout_accuracy": rng.uniform(0.5, 0.9, (2, 10)),
        "reliability": rng.uniform(0.8, 0.9, 10),
        "metadata": {"models_now": 20, "num_models": 20, "seconds_now": 2.0, "devices": "2 x cpu", "diverged": 0},
    }
    return Scores(**{**values, **changes})


def with_everything(dataset, seed=0):
    """Scores with every array that a job may write beside them."""
    rng = np.random.default_rng(seed)
    n, c, e, t = len(dataset.labels), dataset.num_classes, 5, len(dataset.test_labels)
    more = {"pred_probs": rng.dirichlet(np.ones(c), n).astype(np.float32)}
    more["pred_probs"][7] = np.nan
    for score in REGISTRY.values():
        if score.name != "scores":
            more[score.name] = rng.normal(size=n)
            more[score.name][3] = np.nan
            more[score.stderr] = rng.uniform(0.01, 0.1, n)
    more["curve_epochs"] = np.arange(1, e + 1)
    more["curve_correct"] = rng.uniform(size=(2, e, n)).astype(np.float16)
    more["curve_confidence"] = rng.uniform(size=(2, e, n)).astype(np.float16)
    more["curve_counts"] = np.full((2, n), 9)
    more["influence_test"], more["influence_train"] = np.repeat(np.arange(t), 3), rng.permutation(t * 3) % n
    more["influence"] = rng.normal(size=t * 3).astype(np.float32)
    more["influence_stderr"] = np.full(t * 3, 0.1, np.float32)
    more["test_labels"], more["test_accuracy_by_example"] = dataset.test_labels, rng.uniform(size=t)
    return make_scores(dataset, more=more)
