"""The registry of all scores: meaning, suspicious end and source of each.

The standard error of a score, if it has one, is stored as ``<name>_stderr``; that of ``scores`` as ``stderr``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

HIGH, LOW = 1, -1


class Score(NamedTuple):
    """A per-example score.

    Attributes:
      name: key in ``cscores.npz``.
      meaning: one-line description.
      suspicious: `HIGH` if high values are suspicious, `LOW` if low ones are.
      origin: the runs it is computed from: those that held the example out, those that trained on it, or both; ``data``
        if it needs no runs.
      source: the paper that defines it.
    """

    name: str
    meaning: str
    suspicious: int
    origin: Literal["heldout", "trained", "both", "data"]
    source: str

    @property
    def stderr(self) -> str:
        """Key of the standard error in ``cscores.npz``."""
        return "stderr" if self.name == "scores" else f"{self.name}_stderr"


BREUNIG = "Breunig et al. 2000, https://doi.org/10.1145/342009.335388"
JIANG = "Jiang et al. 2021, https://arxiv.org/abs/2002.03206"
FELDMAN = "Feldman and Zhang 2020, https://arxiv.org/abs/2008.03703"
PAUL = "Paul et al. 2021, https://arxiv.org/abs/2107.07075"
PLEISS = "Pleiss et al. 2020, https://arxiv.org/abs/2001.10528"
RAVIKUMAR = "Ravikumar et al. 2025, https://openreview.net/forum?id=KZlQEoEtiu"
SWAYAMDIPTA = "Swayamdipta et al. 2020, https://arxiv.org/abs/2009.10795"
TONEVA = "Toneva et al. 2019, https://arxiv.org/abs/1812.05159"

_ALL = (
    Score("scores", "C-score: share of right answers when held out, mean over ratios", LOW, "heldout", JIANG),
    Score("memorization", "accuracy when trained on less accuracy when held out", HIGH, "both", FELDMAN),
    Score("soft_score", "probability of the label when held out, mean over ratios", LOW, "heldout", JIANG),
    Score("learning_speed", "share of epochs at which training got it right", LOW, "trained", JIANG),
    Score("learning_confidence", "mean over epochs of the label's probability in training", LOW, "trained", JIANG),
    Score("csl", "training loss summed over epochs, in nats", HIGH, "trained", RAVIKUMAR),
    Score("aum", "mean over epochs of the label's logit less the largest other one", LOW, "trained", PLEISS),
    Score("forgetting", "times that training got it wrong after it had been right", HIGH, "trained", TONEVA),
    Score("first_learned", "the first epoch at which training got it right", HIGH, "trained", TONEVA),
    Score("confidence", "mean over epochs of the label's probability in training", LOW, "trained", SWAYAMDIPTA),
    Score("variability", "deviation over epochs of the label's probability in training", LOW, "trained", SWAYAMDIPTA),
    Score("correctness", "number of epochs at which training got it right", LOW, "trained", SWAYAMDIPTA),
    Score("el2n", "distance of the probabilities from the label, early in training", HIGH, "trained", PAUL),
    Score("grand", "norm of its own gradient, early in training", HIGH, "trained", PAUL),
    Score("heldout_learning_speed", "share of the epochs examined at which it was right", LOW, "heldout", JIANG),
    Score("heldout_confidence", "mean over epochs examined of its label's probability", LOW, "heldout", SWAYAMDIPTA),
    Score("heldout_csl", "held-out loss summed over the epochs examined, in nats", HIGH, "heldout", RAVIKUMAR),
    Score("heldout_aum", "mean over the epochs examined of the margin of its label's logit", LOW, "heldout", PLEISS),
    Score("heldout_el2n", "distance of the held-out probabilities from the label, early on", HIGH, "heldout", PAUL),
    Score("heldout_grand", "norm of its gradient early in training that held it out", HIGH, "heldout", PAUL),
    Score("pixel_density", "how near other examples are in pixels", LOW, "data", JIANG),
    Score("pixel_density_class", "how near other examples of its class are in pixels", LOW, "data", JIANG),
    Score("pixel_density_signed", "how much nearer its own class is than the others, in pixels", LOW, "data", JIANG),
    Score("feature_density", "how near other examples are in the last layer", LOW, "both", JIANG),
    Score("feature_density_class", "how near other examples of its class are in the last layer", LOW, "both", JIANG),
    Score("feature_density_signed", "how much nearer its own class is, in the last layer", LOW, "both", JIANG),
    Score("pixel_lof", "local outlier factor among all examples, in pixels", HIGH, "data", BREUNIG),
    Score("pixel_lof_class", "local outlier factor among examples of its class, in pixels", HIGH, "data", BREUNIG),
    Score("feature_lof", "local outlier factor among all examples, in the last layer", HIGH, "both", BREUNIG),
    Score("feature_lof_class", "local outlier factor among its class, in the last layer", HIGH, "both", BREUNIG),
)
REGISTRY: Mapping[str, Score] = MappingProxyType({score.name: score for score in _ALL})
