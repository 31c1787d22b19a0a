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
import optax

from jaxgen.experiments.members import constant_knobs, links_in_use
from jaxgen.losses import cross_entropy
from jaxgen.models import make_model
from jaxgen.optim import make_optimizer
from jaxgen.spec import CscoreSpec
from jaxgen.types import Dataset


class SequentialTrainer:
    """Trains one model after another; with ``fresh_jit`` each compiles its own program."""

    def __init__(self, dataset: Dataset, spec: CscoreSpec, *, fresh_jit: bool):
        self.spec, self.fresh_jit = spec, fresh_jit
        self.images = dataset.images.astype(np.float32) * np.float32(dataset.scale)
        self.labels = dataset.labels
        self.tests = (
            None if dataset.test_images is None else dataset.test_images.astype(np.float32) * np.float32(dataset.scale)
        )
        self.model = make_model(spec.model, dataset.num_classes)
        self.functions = self.compile_functions()

    def compile_functions(self) -> tuple[Callable, Callable, Callable, optax.GradientTransformation]:
        """(init, update, predict, optimizer), not yet compiled."""
        train = self.spec.train
        optimizer = make_optimizer(links_in_use(train))(jax.random.key(0), constant_knobs(train))

        def loss(params, images, labels):
            return jnp.mean(cross_entropy(self.model.apply(params, images), labels))

        @jax.jit
        def update(params, state, images, labels):
            updates, state = optimizer.update(jax.grad(loss)(params, images, labels), state, params)
            return optax.apply_updates(params, updates), state

        @jax.jit
        def predict(params, images):
            return jnp.argmax(self.model.apply(params, images), axis=-1)

        # A program of its own for the initial weights pays only if it serves many models.
        init = self.model.init if self.fresh_jit else jax.jit(self.model.init)
        return init, update, predict, optimizer

    def train(self, ratio: float, seed: int) -> float:
        """Trains and examines one model; returns its held-out accuracy."""
        init, update, predict, optimizer = self.compile_functions() if self.fresh_jit else self.functions
        rng = np.random.default_rng(seed)
        count, train = len(self.labels), self.spec.train
        own = rng.choice(count, int(count * ratio), replace=False)
        params = init(jax.random.key(seed), self.images[:1])
        state = optimizer.init(params)
        for _ in range(train.epochs):
            order = rng.permutation(own)
            for start in range(0, len(order), train.batch_size):
                batch = order[start : start + train.batch_size]
                params, state = update(params, state, self.images[batch], self.labels[batch])
        correct = np.asarray(predict(params, self.images)) == self.labels
        if self.tests is not None:
            np.asarray(predict(params, self.tests))
        return float(np.delete(correct, own).mean())

    def flops(self, ratio: float) -> float:
        """Floating-point operations of one model's training and examination, as the compiler counts them."""
        init, update, predict, optimizer = self.functions
        params = init(jax.random.key(0), self.images[:1])
        batch = self.spec.train.batch_size
        state = optimizer.init(params)
        step = update.lower(params, state, self.images[:batch], self.labels[:batch]).compile().cost_analysis()["flops"]
        look = predict.lower(params, self.images[:1000]).compile().cost_analysis()["flops"] / len(self.images[:1000])
        examined = len(self.labels) + (0 if self.tests is None else len(self.tests))
        steps = self.spec.train.epochs * int(len(self.labels) * ratio) / batch
        return step * steps + look * examined


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
