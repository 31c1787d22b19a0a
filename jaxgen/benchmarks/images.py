"""Training steps of one convolutional network, in images a second, beside what a user would otherwise do.

* ``jaxgen``: the engine, everything inside its loop.
* ``torch``: PyTorch's plain loop on the same network (channels last, all cores), if PyTorch is installed; on CPUs, for
  ``convnet`` by plain SGD.
* ``step``: JAX, one jitted step of one model after another.
* ``vmap``: the same step mapped over models by `jax.vmap`, which makes grouped convolutions.

All train on the same random images in memory with the same batch size, optimizer and number of steps.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, describe_ratio
from jaxgen.config import BenchSpec, CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.runs.devices import available_cores
from jaxgen.types import Dataset

NUM_CLASSES = 10
# Models mapped at once in the way of `jax.vmap`.
MAPPED = 4


def make_images(spec: BenchSpec) -> Dataset:
    """Random images and labels, half a dozen batches of them."""
    rng = np.random.default_rng(0)
    count = 8 * spec.job.train.batch_size
    images = rng.integers(0, 256, (count, *spec.image_shape), np.uint8)
    return make_dataset("random", images, np.arange(count) % NUM_CLASSES, source="random images")


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """Steps of the engine's training program on as many members as it trains side by side."""
    import jax

    from jaxgen.engine.members import Block
    from jaxgen.experiments.cscore.job import make_run_groups
    from jaxgen.jobs.program import make_programs
    from jaxgen.jobs.train import make_trainer
    from jaxgen.reporting.console import log

    dataset = make_images(spec)
    [program] = make_programs(spec.job)
    trainer = make_trainer(dataset, program, make_run_groups(dataset, program), log)
    [run_group] = make_run_groups(dataset, program).values()
    # As in a job of a thousand models: that is what the arrangement is chosen for.
    trainer.configure(dict.fromkeys(trainer.run_groups, 1000))
    ensemble, rows = trainer.ensemble, run_group.rows(np.arange(trainer.slots))
    start, advance = ensemble.prepare(rows, trainer.width, ["start", "advance"])
    members, progress = start(ensemble._placed(rows, np.arange(trainer.slots)), ensemble.data)
    # All steps in one epoch, which has as many as the subset gives.
    steps = -(-run_group.max_size // spec.job.train.batch_size)
    answer = None
    while True:
        num_images = yield answer
        epochs = max(1, round(num_images / (trainer.slots * steps * spec.job.train.batch_size)))
        block = ensemble.traced(Block(epochs, 0, steps, 0))
        began = time.perf_counter()
        progress = jax.block_until_ready(advance(members, progress, ensemble.data, block))
        answer = time.perf_counter() - began, epochs * trainer.slots * run_group.max_size


def step_way(spec: BenchSpec) -> Iterator[Any]:
    """One jitted step after another, of one model."""
    return jax_steps(spec, 1)


def vmap_way(spec: BenchSpec) -> Iterator[Any]:
    """One jitted and mapped step after another, of `MAPPED` models."""
    return jax_steps(spec, MAPPED)


def jax_steps(spec: BenchSpec, num_models: int) -> Iterator[Any]:
    """Steps of the learner that the baselines of the other tables train with, `num_models` at a time."""
    import jax

    from jaxgen.engine.learner import Batch, StepIndex
    from jaxgen.jobs.program import hparam_table, make_ensemble_config, make_kernels, make_programs

    dataset, batch = make_images(spec), spec.job.train.batch_size
    [program] = make_programs(spec.job)
    learner = make_ensemble_config(dataset, program, make_kernels(program, otherwise="grouped")).learner
    hparams = {name: values[0] for name, values in hparam_table(program).items()}

    def update(key: Any, state: Any, images: Any, labels: Any, moment: Any) -> Any:
        return learner.step(key, hparams, state, Batch(images, labels, np.ones(batch, np.float32)), moment)[0]

    keys = jax.random.split(jax.random.key(0), num_models)
    state = jax.jit(jax.vmap(lambda key: learner.init(key, hparams)))(keys)
    mapped = jax.vmap(update, (0, 0, None, None, None))
    if num_models == 1:
        keys, state = keys[0], jax.tree.map(lambda leaf: leaf[0], state)
        mapped = update
    step = jax.jit(mapped, donate_argnums=1)
    inputs = dataset.images.astype(np.float32) * np.float32(dataset.scale)
    moment, answer, wanted = StepIndex(np.int32(0), np.int32(0), np.int32(8)), None, batch
    state = jax.block_until_ready(step(keys, state, inputs[:batch], dataset.labels[:batch], moment))
    while True:
        wanted = yield answer
        steps = max(1, round(wanted / (batch * num_models)))
        began = time.perf_counter()
        for i in range(steps):
            own = slice(i % 8 * batch, (i % 8 + 1) * batch)
            state = step(keys, state, inputs[own], dataset.labels[own], moment)
        jax.block_until_ready(state)
        answer = time.perf_counter() - began, steps * batch * num_models


def torch_way(spec: BenchSpec) -> Iterator[Any]:
    """PyTorch's plain loop on the same network."""
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

    def train_steps(steps: int) -> None:
        for i in range(steps):
            own = slice(i % 8 * train.batch_size, (i % 8 + 1) * train.batch_size)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[own]), labels[own]).backward()
            optimizer.step()

    train_steps(3)
    answer = None
    while True:
        steps = max(1, round((yield answer) / train.batch_size))
        began = time.perf_counter()
        train_steps(steps)
        answer = time.perf_counter() - began, steps * train.batch_size


def torch_can(job: CscoreSpec) -> bool:
    """Whether `torch_way` does the very same: the plain network, plain SGD, nothing that regularizes."""
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


def measure_images(spec: BenchSpec) -> str:
    """The table of images a second, and how often ours is as fast.

    Raises:
      UserError: for flags that cannot be used.
    """
    from jaxgen.experiments.cscore.job import check_job

    if len(spec.job.subsets.subset_ratios) != 1:
        raise UserError("--measure=images: give one ratio, such as --subset_ratios=0.9")
    check_job(make_images(spec), spec.job)
    ways = {"jaxgen": engine_way, "step": step_way, "vmap": vmap_way}
    if has_torch() and torch_can(spec.job):
        ways["torch"] = torch_way
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with InterleavedBenchmark(ways, spec) as turns:
        for _ in range(spec.rounds):
            for way in ways:
                seconds, images = turns.ask(way, spec.bench_images)
                rates[way].append(images / seconds)
    shape = "x".join(map(str, spec.image_shape))
    lines = [
        f"{spec.job.model.model} on {shape}, batch {spec.job.train.batch_size}; training steps only; {spec.rounds} "
        f"rounds; {describe_machine()}",
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
    for way in ways:
        faster = describe_ratio(np.array(rates["jaxgen"]) / np.array(rates[way])) if way != "jaxgen" else ""
        lines.append(f"| {titles[way]} | {describe_ratio(np.array(rates[way]))} | {faster} |")
    return "\n".join(lines)


def has_torch() -> bool:
    """Whether PyTorch is installed; it is no requirement."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None
