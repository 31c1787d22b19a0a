"""How often simple methods are right on examples that they have not seen: networks should do better."""

import warnings

import numpy as np

from jaxgen.types import Dataset

NEIGHBOURS = 5
# Steps of the solver of logistic regression: more change little, and take minutes with thousands of pixels.
MOST_STEPS = 200


def baseline_correct(dataset: Dataset, subsets: np.ndarray) -> dict[str, np.ndarray]:
    """Whether simple methods, fitted to each subset of the examples, are right on the others.

    Values are standardized by column, as stored otherwise (features are already).

    Args:
      dataset: the examples.
      subsets: which examples each has, bool ``[s, n]``.

    Returns:
      ``[n]`` by name of the method: the share of the subsets without an example after which it is got right; NaN for
      examples that are in all of them.
    """
    # Imported here: scikit-learn takes seconds.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs, labels = dataset.images.reshape(len(dataset.labels), -1).astype(np.float32), dataset.labels
    methods = {
        f"{NEIGHBOURS} nearest neighbours": KNeighborsClassifier(min(NEIGHBOURS, int(subsets.sum(1).min()))),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_STEPS)),
    }
    found = {}
    for name, method in methods.items():
        right = np.zeros(len(labels))
        for subset in subsets:
            if len(np.unique(labels[subset])) < 2:
                right += ~subset & (labels == labels[subset][0])
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                method.fit(inputs[subset], labels[subset])
            right[~subset] += method.predict(inputs[~subset]) == labels[~subset]
        with np.errstate(invalid="ignore"):
            found[name] = right / (~subsets).sum(0)
    return found
