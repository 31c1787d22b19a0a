"""Training steps of one network, in images a second, beside what a user would otherwise do.

* ``jaxgen``: the engine, everything inside its loop.
* ``torch``: PyTorch's plain loop on the same network (channels last, all cores), if PyTorch is installed; on CPUs, for
  ``convnet`` by plain SGD.
* ``step``: JAX, one jitted step of one model after another.
* ``vmap``: the same step mapped over models by `jax.vmap`, which makes grouped convolutions.

All train on the same random images in memory with the same batch size, optimizer and number of steps.
"""

import functools
import importlib.util
from collections.abc import Iterator

import jax
import numpy as np

from jaxgen.benchmarks.interleaved import Contender, InterleavedBenchmark, Prepared, describe_machine, describe_ratio
from jaxgen.benchmarks.sequential import SequentialTrainer
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.engine.batch import StepIndex
from jaxgen.engine.members import Block
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.job import check_job, make_run_groups
from jaxgen.jobs.program import make_programs
from jaxgen.jobs.train import make_trainer
from jaxgen.reporting.console import log
from jaxgen.runs.devices import available_cores
from jaxgen.types import Dataset
from jaxgen.wording import count_of

NUM_CLASSES = 10
# Batches that the random images make.
NUM_BATCHES = 8
# Models of the contender that maps its step.
MAPPED = 4


def make_images(spec: BenchSpec) -> Dataset:
    """Random images and labels, `NUM_BATCHES` batches of them."""
    rng = np.random.default_rng(0)
    count = NUM_BATCHES * spec.job.train.batch_size
    images = rng.integers(0, 256, (count, *spec.image_shape), np.uint8)
    return make_dataset("random", images, np.arange(count) % NUM_CLASSES, source="random images")


def batches(batch_size: int, num_steps: int) -> Iterator[slice]:
    """The examples of each step, batch after batch and again from the first."""
    for step in range(num_steps):
        start = step % NUM_BATCHES * batch_size
        yield slice(start, start + batch_size)


def engine_contender(spec: BenchSpec) -> Prepared:
    """About so many images by the engine's training program, on as many members as it trains side by side; returns how
    many."""
    dataset = make_images(spec)
    [program] = make_programs(spec.job)
    trainer = make_trainer(dataset, program, make_run_groups(dataset, program), log)
    [run_group] = trainer.run_groups.values()
    # The layout is chosen for a job of a thousand models.
    trainer.configure(dict.fromkeys(trainer.run_groups, 1000))
    ensemble, rows = trainer.ensemble, run_group.rows(np.arange(trainer.slots))
    start, advance = ensemble.prepare(rows, trainer.width, ["start", "advance"])
    # One row for each member, so the compiled program places them on the devices itself.
    members, state = start(rows, ensemble.data)
    # All steps in one epoch, which has as many as the subset gives.
    num_steps = -(-run_group.max_size // spec.job.train.batch_size)

    def run(num_images: int) -> int:
        nonlocal state
        epochs = max(1, round(num_images / (trainer.slots * num_steps * spec.job.train.batch_size)))
        block = ensemble.traced(Block(epochs, 0, num_steps, 0))
        state = jax.block_until_ready(advance(members, state, ensemble.data, block))
        return epochs * trainer.slots * run_group.max_size

    return Prepared(run)


def step_contender(spec: BenchSpec, num_models: int) -> Prepared:
    """About so many images by the step that the other tables' baselines take, for `num_models` at a time; returns how
    many."""
    dataset, batch_size = make_images(spec), spec.job.train.batch_size
    [program] = make_programs(spec.job)
    trainer = SequentialTrainer(dataset, program, fresh_jit=False)
    init, update = (lambda key: trainer.init(key, {})), (lambda key, *rest: trainer.update(key, {}, *rest))
    keys = jax.random.split(jax.random.key(0), num_models)
    if num_models == 1:
        keys = keys[0]
    else:
        init, update = jax.vmap(init), jax.vmap(update, (0, 0, None, None, None))
    step, step_index = jax.jit(update, donate_argnums=1), StepIndex(np.int32(0), np.int32(0), np.int32(NUM_BATCHES))
    images, labels = trainer.train
    state = jax.jit(init)(keys)
    state = jax.block_until_ready(step(keys, state, images[:batch_size], labels[:batch_size], step_index))

    def run(num_images: int) -> int:
        nonlocal state
        num_steps = max(1, round(num_images / (batch_size * num_models)))
        for batch in batches(batch_size, num_steps):
            state = step(keys, state, images[batch], labels[batch], step_index)
        jax.block_until_ready(state)
        return num_steps * batch_size * num_models

    return Prepared(run)


def torch_contender(spec: BenchSpec) -> Prepared:
    """About so many images by PyTorch's plain loop on the same network; returns how many."""
    # Imported here: the package may be missing.
    import torch

    torch.set_num_threads(available_cores())
    dataset, train = make_images(spec), spec.job.train
    height, width, channels = spec.image_shape
    network = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(64, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64 * (height // 4) * (width // 4), 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, NUM_CLASSES),
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), train.learning_rate, train.momentum)
    inputs = torch.from_numpy(dataset.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(dataset.labels.astype(np.int64))

    def run(num_images: int) -> int:
        num_steps = max(1, round(num_images / train.batch_size))
        for batch in batches(train.batch_size, num_steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        return num_steps * train.batch_size

    run(3 * train.batch_size)
    return Prepared(run)


def torch_can(job: CscoreSpec) -> bool:
    """Whether `torch_contender` does the very same: the plain network, plain SGD, nothing that regularizes."""
    plain = spec_from_values(
        CscoreSpec,
        {
            "model": "convnet",
            "batch_size": job.train.batch_size,
            "learning_rate": job.train.learning_rate,
            "momentum": job.train.momentum,
            "epochs": job.train.epochs,
        },
    )
    parts = ("train", "regularization", "augmentation", "stopping")
    same = all(getattr(job, part) == getattr(plain, part) for part in parts)
    network = job.model.model == "convnet" and job.model.norm == plain.model.norm
    return same and network and job.compute.precision == "float32"


def has_torch() -> bool:
    """Whether PyTorch is installed; it is no requirement."""
    return importlib.util.find_spec("torch") is not None


def make_contenders(job: CscoreSpec) -> dict[str, Contender]:
    """The contenders that can do this job here, jaxgen first."""
    contenders: dict[str, Contender] = {
        "jaxgen": engine_contender,
        "step": functools.partial(step_contender, num_models=1),
        "vmap": functools.partial(step_contender, num_models=MAPPED),
    }
    return contenders | ({"torch": torch_contender} if has_torch() and torch_can(job) else {})


def measure_images(spec: BenchSpec) -> str:
    """The table of images a second, and of how many times as fast jaxgen is.

    Raises:
      UserError: for flags that cannot be used.
    """
    if len(spec.job.subsets.subset_ratios) != 1:
        raise UserError("--measure=images: give one ratio, such as --subset_ratios=0.9")
    check_job(make_images(spec), spec.job)
    with InterleavedBenchmark(make_contenders(spec.job), spec) as benchmark:
        turns = benchmark.run_rounds([spec.bench_images] * spec.rounds)
    rates = {name: np.array([turn.result / turn.seconds for turn in turns[name]]) for name in turns}
    shape = "x".join(map(str, spec.image_shape))
    lines = [
        f"{spec.job.model.model} on {shape}, batch {spec.job.train.batch_size}; training steps only; "
        f"{count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| way | images/s, median (smallest to largest) | jaxgen is so many times as fast |",
        "| --- | --- | --- |",
    ]
    titles = {
        "jaxgen": "jaxgen",
        "torch": f"PyTorch, plain loop, {available_cores()} threads",
        "step": "JAX, step by step",
        "vmap": f"JAX, `vmap` over {MAPPED} models, step by step",
    }
    for name, rate in rates.items():
        faster = describe_ratio(rates["jaxgen"] / rate) if name != "jaxgen" else ""
        lines.append(f"| {titles[name]} | {describe_ratio(rate)} | {faster} |")
    return "\n".join(lines)
