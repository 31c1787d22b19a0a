"""How often members are right: of what they trained on, of what they were stopped by, held out, tested on."""

import numpy as np

from jaxgen.engine.ensemble import Ensemble
from jaxgen.types import Outcome


def accuracies(outcome: Outcome, ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Shares of right answers ``[m]`` on examples trained on, for validation, held out, and tested on; NaN of none."""
    count = ensemble.recipe.num_examples
    trained_on, correct = (
        np.unpackbits(bits, axis=1, count=count).astype(bool) for bits in (outcome.trained_on, outcome.correct)
    )
    validation = np.zeros_like(trained_on)
    if outcome.validation.size:
        validation = np.unpackbits(outcome.validation, axis=1, count=count).astype(bool)
    learnt = trained_on & ~validation
    right = np.unpackbits(outcome.test_correct, axis=1, count=ensemble.num_examined - count)
    share = lambda hits, of: np.divide(hits.sum(1), of, out=np.full(len(hits), np.nan), where=of > 0)  # noqa: E731
    return {
        "train_accuracy": share(correct & learnt, learnt.sum(1)),
        "validation_accuracy": share(correct & validation, validation.sum(1)),
        "heldout_accuracy": share(correct & ~trained_on, (~trained_on).sum(1)),
        "test_accuracy": share(right, np.full(len(right), right.shape[1])),
        "final_loss": final_losses(outcome),
    }


def final_losses(outcome: Outcome) -> np.ndarray:
    """Mean training loss ``[m]`` of the epoch whose weights were taken."""
    return np.take_along_axis(outcome.loss_curve, np.maximum(outcome.epochs - 1, 0)[:, None], axis=1)[:, 0]
