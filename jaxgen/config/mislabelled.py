"""Flags of the search for mislabelled examples: the score, and label noise that is injected to evaluate scores."""

import dataclasses
import os
from types import MappingProxyType
from typing import NamedTuple

from jaxgen.config.fields import option
from jaxgen.config.rules import Spec, at_least
from jaxgen.errors import UserError

MOST_THRESHOLD_MODELS = 10_000
# From the field's names of label noise to the kinds of `jaxgen.transforms.labels`.
NOISE_KINDS = MappingProxyType(
    {
        "symmetric": "others",
        "pair": "cyclic",
        "instance": "instance",
        "matrix": "matrix",
        "uniform": "uniform",
        "permutation": "permutation",
    }
)


class Injection(NamedTuple):
    """Label noise to inject.

    Attributes:
      text: as the user wrote it.
      kind: one of `jaxgen.transforms.labels.KINDS`, or ``file``.
      rate: share of the labels, in (0, 1]; 1 with a matrix or labels from a file, which have rates of their own.
      file: of the matrix or the labels, else empty.
      key: of the labels in their file; may be empty.
    """

    text: str
    kind: str
    rate: float
    file: str = ""
    key: str = ""


def read_injection(text: str) -> Injection:
    """Parses noise by its name and rate, ``symmetric:0.1``, or by its file, ``matrix:FILE``, ``file:PATH:KEY``.

    Raises:
      UserError: for an unknown name, and for a rate that is not between 0 and 1.
    """
    flag = f"--inject={text}"
    name, _, rest = text.partition(":")
    if name == "file":
        return read_file(text, rest)
    if name not in NOISE_KINDS:
        raise UserError(f"{flag}: unknown noise; give one of {', '.join(NOISE_KINDS)}, file, such as symmetric:0.1")
    if name == "matrix":
        if not rest:
            raise UserError(f"{flag}: needs a file, as in matrix:FILE, of one row of probabilities a class")
        return Injection(text, NOISE_KINDS[name], 1.0, rest)
    try:
        rate = float(rest)
    except ValueError:
        raise UserError(f"{flag}: needs a rate between 0 and 1, such as {name}:0.1") from None
    if not 0 < rate < 1:
        raise UserError(f"{flag}: the rate must lie strictly between 0 and 1; give one as in symmetric:0.1")
    return Injection(text, NOISE_KINDS[name], rate)


def read_file(text: str, rest: str) -> Injection:
    """Parses ``PATH`` or ``PATH:KEY``; a key has no dot, slash or backslash, and a path that ends in none has no key.

    Raises:
      UserError: without a path.
    """
    path, _, key = rest.rpartition(":")
    if not path or set(key) & {".", "/", "\\"}:
        path, key = rest, ""
    if not path:
        raise UserError(f"--inject={text}: needs a file of labels, as in file:PATH or file:PATH:KEY")
    return Injection(text, "file", 1.0, path, key)


@dataclasses.dataclass(frozen=True)
class SearchSpec(Spec):
    """Search"""

    score: str = option("csl", "the score that examples are ranked by, one of those in cscores.npz")
    num_shown: int = option(60, "how many of the most suspicious examples the picture shows", **at_least(1))
    threshold_samples: int = option(
        0,
        "so many further models, each trained with some examples in a made-up class, flag examples that are learnt no "
        "better than these (Pleiss et al. 2020); 0: none",
        rule=lambda count: count == 0 or 2 <= count <= MOST_THRESHOLD_MODELS,
        says=f"must be 0 (none), or 2 to {MOST_THRESHOLD_MODELS:,}, so that every example keeps its label in some",
    )
    inject: tuple[str, ...] = option(
        (),
        "put known noise into the labels, and judge all scores by how they find it; one kind or a list: symmetric:RATE "
        "(any other class), pair:RATE (the next class), instance:RATE (alike images go wrong alike), uniform:RATE (any "
        "class, its own included), permutation:RATE (each other's), matrix:FILE (a row of probabilities for each true "
        "class), file:PATH or file:PATH:KEY (labels from a .pt, .npz, .npy or .csv file, one column or the layout of "
        "CIFAR-10N: file:CIFAR-10_human.pt:worse_label)",
        rule=lambda kinds: len({*kinds}) == len(kinds),
        says="give each kind and rate once",
    )
    repeats: int = option(
        0,
        "inject: draws of the noise, each with models of their own; labels from a file are the same in all, and only "
        "subsets and models are drawn anew (0: 3)",
        **at_least(0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        first: dict[tuple, str] = {}
        for text in self.inject:
            injection = read_injection(text)
            noise = (injection.kind, injection.rate, os.path.abspath(injection.file), injection.key)
            if first.setdefault(noise, text) != text:
                raise UserError(f"--inject={text}: is {first[noise]} once more; give each kind and rate once")
        if self.repeats and not self.inject:
            raise UserError(
                f"--repeats={self.repeats}: repeats draws of --inject, which is not given; give one, or leave it out"
            )
