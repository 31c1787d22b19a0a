"""What a user would otherwise do: one model after another, in the two ways that public demos are written.

* ``demo``: as the C-score and influence demos do it (https://github.com/pluskid/structural-regularity,
  https://github.com/google-research/heldout-influence-estimation): each run makes its own `jit`, batches are gathered
  in NumPy and sent over one by one, and the whole data set is examined at the end.
* ``plain``: the same loop, but compiled once for all runs.

Both train the same network with the same optimizer on the same number of batches as the engine does.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.benchmarks.interleaved import Contender, Turn, describe_ratio
from jaxgen.data.corrupted import as_pixels
from jaxgen.engine.batch import Batch, StepIndex
from jaxgen.engine.learner import LearnerState, final_variables
from jaxgen.jobs.program import Program, hparam_table, make_ensemble_config, make_kernels
from jaxgen.transforms.pixels import make_normalization
from jaxgen.types import Dataset

# Enough to keep a device busy; all 60,000 images at once do not fit where networks have convolutions.
EVAL_BATCH_SIZE = 2000


class HostExamples(NamedTuple):
    """n examples in host memory: scaled images, float32 ``[n, ...]``, and labels, int ``[n]``."""

    images: np.ndarray
    labels: np.ndarray


class Functions(NamedTuple):
    """The compiled functions that train one model.

    Attributes:
      init: ``(key, hparams) -> state``.
      update: ``(key, hparams, state, images [b, ...], labels [b], step_index) -> state``, one gradient step.
      evaluate: ``(state, images [n, ...], labels [n]) -> measured``.
    """

    init: Callable[..., LearnerState]
    update: Callable[..., LearnerState]
    evaluate: Callable[..., Any]


def is_correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Which examples are classified correctly: bool ``[n]``."""
    return jnp.argmax(logits, axis=-1) == labels


class SequentialTrainer:
    """Trains one model after another by a plain loop over batches.

    Network, loss and optimizer are the engine's, one model at a time, with XLA's own convolutions.

    Args:
      dataset: training and test images.
      program: how models are trained. The hyperparameters of a program of one setting are constants of the compiled
        functions, as in a script; those of several settings are their arguments.
      measure: ``(logits [n, c], labels [n]) -> measured``, what an evaluation computes.
      fresh_jit: whether each model compiles its own functions.

    Attributes:
      train: the training examples, not normalized: augmentation comes before that.
      test: the test examples, or None.
    """

    def __init__(
        self, dataset: Dataset, program: Program, measure: Callable[..., Any] = is_correct, *, fresh_jit: bool
    ):
        self.spec, self.measure, self.fresh_jit = program.spec.train, measure, fresh_jit
        self.train = HostExamples(as_pixels(dataset, dataset.images), dataset.labels)
        self.test = None
        if dataset.test_images is not None:
            self.test = HostExamples(as_pixels(dataset, dataset.test_images), dataset.test_labels)
        self.normalize = make_normalization(whiten=dataset.whiten, channel_moments=dataset.channel_moments)
        self.learner = make_ensemble_config(dataset, program, make_kernels(program, default_backend="grouped")).learner
        table = hparam_table(program)
        settings = [{name: values[i] for name, values in table.items()} for i in range(len(program.settings))]
        self.constants, self.hparams = (settings[0], [{}]) if len(settings) == 1 else ({}, settings)
        self.functions = self.compile_functions()

    def init(self, key: jax.Array, hparams: Mapping[str, Any]) -> LearnerState:
        """The initial state of a model."""
        return self.learner.init(key, {**self.constants, **hparams})

    def update(
        self,
        key: jax.Array,
        hparams: Mapping[str, Any],
        state: LearnerState,
        images: jax.Array,
        labels: jax.Array,
        step_index: StepIndex,
    ) -> LearnerState:
        """One gradient step on a batch."""
        batch = Batch(images, labels, jnp.ones(len(labels)))
        return self.learner.step(key, {**self.constants, **hparams}, state, batch, step_index)[0]

    def evaluate(self, state: LearnerState, images: jax.Array, labels: jax.Array) -> Any:
        """What `measure` makes of the logits."""
        inputs = self.normalize(images) if self.normalize else images
        return self.measure(self.learner.predict(final_variables(state), inputs), labels)

    def compile_functions(self) -> Functions:
        """New functions, which are compiled when they are first called."""
        # New partials: `jax.jit` would reuse what it has compiled for a method it knows.
        init, update, evaluate = map(functools.partial, (self.init, self.update, self.evaluate))
        # Compiling the initialization pays only if it serves many models.
        return Functions(init if self.fresh_jit else jax.jit(init), jax.jit(update), jax.jit(evaluate))

    def functions_of_a_model(self) -> Functions:
        """The functions for the next model."""
        return self.compile_functions() if self.fresh_jit else self.functions

    def fit(
        self,
        functions: Functions,
        examples: HostExamples,
        chosen: np.ndarray,
        rng: np.random.Generator,
        seed: int,
        *,
        setting: int = 0,
        stop: Callable[[LearnerState], bool] = lambda state: False,
    ) -> LearnerState:
        """Trains one model.

        Args:
          functions: of `functions_of_a_model`.
          examples: images and labels to choose from.
          chosen: indices of the examples to train on.
          rng: draws the order of each epoch.
          seed: of the model's key.
          setting: which of the program's settings gives the hyperparameters.
          stop: after each epoch, whether that was the last.
        """
        key, hparams, size = jax.random.key(seed), self.hparams[setting], self.spec.batch_size
        state, num_steps = functions.init(key, hparams), -(-len(chosen) // size)
        for epoch in range(self.spec.epochs):
            order = rng.permutation(chosen)
            for step in range(num_steps):
                batch = order[step * size : (step + 1) * size]
                step_index = StepIndex(np.int32(epoch), np.int32(step), np.int32(num_steps))
                state = functions.update(
                    key, hparams, state, examples.images[batch], examples.labels[batch], step_index
                )
            if stop(state):
                break
        return state

    def evaluate_all(self, functions: Functions, state: LearnerState, examples: HostExamples) -> np.ndarray:
        """What is measured of each example, ``[n]``, computed for `EVAL_BATCH_SIZE` at a time."""
        batches = [slice(start, start + EVAL_BATCH_SIZE) for start in range(0, len(examples.labels), EVAL_BATCH_SIZE)]
        measured = [functions.evaluate(state, examples.images[batch], examples.labels[batch]) for batch in batches]
        return np.concatenate([np.asarray(values) for values in measured])


def make_contenders(sequential: Callable[..., Any], engine: Contender) -> dict[str, Contender]:
    """The three contenders that train the same models.

    Args:
      sequential: ``(spec, *, fresh_jit) -> Prepared``, one model after another.
      engine: all models of a turn together.
    """
    return {
        "demo": functools.partial(sequential, fresh_jit=True),
        "plain": functools.partial(sequential, fresh_jit=False),
        "jaxgen": engine,
    }


def seconds_a_model(turns: Sequence[Turn]) -> np.ndarray:
    """Of turns whose results are one accuracy a model: float ``[turns]``."""
    return np.array([turn.seconds / len(turn.result) for turn in turns])


def contender_rows(
    titles: Mapping[str, str], turns: Mapping[str, Sequence[Turn]], figure: Callable[[float], float]
) -> list[str]:
    """A table's rows: a contender's title, a figure, its seconds a model over jaxgen's, and mean accuracy (n models).

    Args:
      titles: by contender.
      turns: by contender, one a round, whose results are one accuracy a model.
      figure: from the median seconds a model to the number that is shown.
    """
    lines, reference = [], seconds_a_model(turns["jaxgen"])
    for name, title in titles.items():
        seconds = seconds_a_model(turns[name])
        accuracies = np.concatenate([turn.result for turn in turns[name]])
        accuracy = f"{np.mean(accuracies):.4f} ({len(accuracies)})"
        lines.append(
            f"| {title} | {figure(np.median(seconds)):.3g} | {describe_ratio(seconds / reference)} | {accuracy} |"
        )
    return lines
