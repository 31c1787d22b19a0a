"""What a user would otherwise do: one model after another, in the two ways that public demos are written.

* ``demo``: as the C-score and influence demos do it (https://github.com/pluskid/structural-regularity,
  https://github.com/google-research/heldout-influence-estimation): each run makes its own `jit`, batches are gathered
  in NumPy and sent over one by one, and the whole data set is examined at the end.
* ``plain``: the same loop, but compiled once for all runs.

Both train the same network with the same optimizer on the same number of batches as the engine does.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.engine.batch import Batch, StepIndex
from jaxgen.engine.learner import final_variables
from jaxgen.jobs.program import hparam_table, make_ensemble_config, make_kernels, make_programs
from jaxgen.transforms.pixels import whiten_images
from jaxgen.types import Dataset

# Enough to keep a device busy; all 60,000 images at once do not fit where networks have convolutions.
EXAMINED_AT_ONCE = 2000


class SequentialTrainer:
    """Trains one model after another; with ``fresh_jit`` each compiles its own program.

    Network, loss and optimizer are the engine's, one model at a time, its convolutions XLA's own.
    """

    def __init__(self, dataset: Dataset, spec: CscoreSpec, *, fresh_jit: bool):
        self.spec, self.fresh_jit = spec, fresh_jit
        self.images = inputs_of(dataset, dataset.images)
        self.labels = dataset.labels
        self.tests = None if dataset.test_images is None else inputs_of(dataset, dataset.test_images)
        [program] = make_programs(spec)
        self.learner = make_ensemble_config(dataset, program, make_kernels(program, otherwise="grouped")).learner
        self.hparams = {name: values[0] for name, values in hparam_table(program).items()}
        self.functions = self.compile_functions()

    def compile_functions(self) -> tuple[Callable, Callable, Callable]:
        """(init, update, predict), not yet compiled."""
        learner, hparams = self.learner, self.hparams

        def init(key):
            return learner.init(key, hparams)

        @jax.jit
        def update(key, state, images, labels, moment):
            batch = Batch(images, labels, jnp.ones(len(labels)))
            return learner.step(key, hparams, state, batch, moment)[0]

        @jax.jit
        def predict(state, images):
            return jnp.argmax(learner.predict(final_variables(state), images), axis=-1)

        # A program of its own for the initial weights pays only if it serves many models.
        return (init if self.fresh_jit else jax.jit(init)), update, predict

    def functions_of_a_model(self) -> tuple[Callable, Callable, Callable]:
        """(init, update, predict) for the next model."""
        return self.compile_functions() if self.fresh_jit else self.functions

    def train(self, ratio: float, seed: int) -> float:
        """Trains and examines one model; returns its held-out accuracy."""
        functions, rng, count = self.functions_of_a_model(), np.random.default_rng(seed), len(self.labels)
        own = rng.choice(count, int(count * ratio), replace=False)
        state = self.fit(functions, self.images, self.labels, own, rng, seed)
        correct = self.examine(functions[2], state, self.images) == self.labels
        if self.tests is not None:
            self.examine(functions[2], state, self.tests)
        return float(np.delete(correct, own).mean())

    def fit(
        self,
        functions: tuple[Callable, Callable, Callable],
        images: np.ndarray,
        labels: np.ndarray,
        own: np.ndarray,
        rng: np.random.Generator,
        seed: int,
    ) -> object:
        """A model's state after training on the examples numbered `own`, in an order of `rng`."""
        init, update, _ = functions
        train, key = self.spec.train, jax.random.key(seed)
        state = init(key)
        num_steps = -(-len(own) // train.batch_size)
        for epoch in range(train.epochs):
            order = rng.permutation(own)
            for step in range(num_steps):
                batch = order[step * train.batch_size : (step + 1) * train.batch_size]
                moment = StepIndex(np.int32(epoch), np.int32(step), np.int32(num_steps))
                state = update(key, state, images[batch], labels[batch], moment)
        return state

    def examine(self, predict: Callable, state: object, images: np.ndarray) -> np.ndarray:
        """The most likely class of each image, some at a time."""
        starts = range(0, len(images), EXAMINED_AT_ONCE)
        return np.concatenate([np.asarray(predict(state, images[at : at + EXAMINED_AT_ONCE])) for at in starts])

    def flops(self, ratio: float) -> float:
        """Floating-point operations of one model's training and examination, as the compiler counts them."""
        init, update, predict = self.functions
        key = jax.random.key(0)
        state, batch = init(key), self.spec.train.batch_size
        moment = StepIndex(np.int32(0), np.int32(0), np.int32(1))
        lowered = update.lower(key, state, self.images[:batch], self.labels[:batch], moment)
        step = lowered.compile().cost_analysis()["flops"]
        look = predict.lower(state, self.images[:1000]).compile().cost_analysis()["flops"] / len(self.images[:1000])
        examined = len(self.labels) + (0 if self.tests is None else len(self.tests))
        steps = self.spec.train.epochs * int(len(self.labels) * ratio) / batch
        return step * steps + look * examined


def inputs_of(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Stored images as a network sees them."""
    inputs = images.astype(np.float32) * np.float32(dataset.scale)
    return np.asarray(whiten_images(inputs)) if dataset.whiten else inputs


def matmul_rate(size: int = 2048, repeats: int = 5) -> float:
    """This process's best float32 matrix-product rate, in operations a second."""
    product = jax.jit(lambda a, b: a @ b)
    a = jax.random.normal(jax.random.key(0), (size, size))
    product(a, a).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
