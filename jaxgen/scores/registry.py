"""Every score that a job gives each example: what it means, which end of it is suspicious, and whose it is.

A score's standard error, where it has one, is the array ``<name>_stderr`` beside it, and ``stderr`` beside ``scores``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

HIGH, LOW = 1, -1


class Score(NamedTuple):
    """A score of examples.

    Attributes:
      name: its key in ``cscores.npz``.
      meaning: in a line.
      suspicious: `HIGH` if high values are suspect, `LOW` if low ones are.
      origin: of which runs it is made: those that held the example out, those that trained on it, both; or of the data
        alone.
      source: the paper that it is from.
    """

    name: str
    meaning: str
    suspicious: int
    origin: Literal["heldout", "trained", "both", "data"]
    source: str

    @property
    def stderr(self) -> str:
        """The key of its standard error."""
        return "stderr" if self.name == "scores" else f"{self.name}_stderr"


JIANG = "Jiang et al. 2021, https://arxiv.org/abs/2002.03206"
FELDMAN = "Feldman and Zhang 2020, https://arxiv.org/abs/2008.03703"

_ALL = (
    Score("scores", "C-score: share of right answers when held out, mean over ratios", LOW, "heldout", JIANG),
    Score("memorization", "accuracy when trained on less accuracy when held out", HIGH, "both", FELDMAN),
)
REGISTRY: Mapping[str, Score] = MappingProxyType({score.name: score for score in _ALL})
