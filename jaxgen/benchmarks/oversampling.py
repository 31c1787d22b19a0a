"""The oversampling experiment three times: a fresh program for every model, one program for all, one table of members.

Samples of every size, plain and with a noisy copy of each training example, as the lecture has it. In a round the two
that train one model after another train one of each size and arm; jaxgen trains every run of all.
"""

import numpy as np

from jaxgen.benchmarks.engine import make_compiled_trainer, train_chunks
from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, describe_machine
from jaxgen.benchmarks.sequential import HostExamples, SequentialTrainer, contender_rows, make_contenders
from jaxgen.config import BenchSpec, CscoreSpec, OversamplingSpec
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.data import load_dataset
from jaxgen.experiments.oversampling.job import OversamplingJob, make_job, make_run_groups
from jaxgen.jobs.program import make_programs
from jaxgen.runs.plan import Span, cut_chunks
from jaxgen.wording import count_of

ARMS = ("plain", "uniform")


def make_experiment(spec: BenchSpec) -> OversamplingJob:
    """The job of ``python -m jaxgen.oversampling --arm=plain,uniform`` with the flags that were given."""
    chosen = {name: value for name, value in flag_values(spec.job).items() if name in {*spec.given, "dataset"}}
    asked = spec_from_values(OversamplingSpec, {**chosen, "arm": ARMS})
    return make_job(load_dataset(asked.data), asked)


class SequentialSamples:
    """Trains one model of the experiment after another; with `fresh_jit` each compiles its own programs."""

    def __init__(self, job: OversamplingJob, *, fresh_jit: bool):
        [program] = make_programs(spec_from_values(CscoreSpec, flag_values(job.settings[0].spec)))
        self.copies = job.spec.copies
        self.trainer = SequentialTrainer(job.dataset, program, fresh_jit=fresh_jit)

    def train(self, size: int, arm: str, seed: int) -> float:
        """Trains a model on a sample, and examines it on what it was trained on, its development part and the test set;
        returns its test accuracy."""
        trainer, rng = self.trainer, np.random.default_rng(seed)
        functions = trainer.functions_of_a_model()
        sample = rng.choice(len(trainer.train.labels), size, replace=False)
        num_dev = round(size * self.copies.dev_share)
        dev, chosen = (
            HostExamples(*(array[part] for array in trainer.train)) for part in (sample[:num_dev], sample[num_dev:])
        )
        if arm != "plain":
            noise = rng.uniform(0, self.copies.uniform_noise, chosen.images.shape).astype(np.float32)
            images = np.concatenate([chosen.images, chosen.images + noise])
            chosen = HostExamples(images, np.concatenate([chosen.labels, chosen.labels]))
        state = trainer.fit(functions, chosen, np.arange(len(chosen.labels)), rng, seed)
        parts = [part for part in (chosen, dev, trainer.test) if len(part.labels)]
        return [float(np.mean(trainer.evaluate_all(functions, state, part))) for part in parts][-1]


def sequential_contender(spec: BenchSpec, *, fresh_jit: bool) -> Prepared:
    """By seed, one model of each size and arm: test accuracies."""
    job = make_experiment(spec)
    trainer = SequentialSamples(job, fresh_jit=fresh_jit)
    models = [(size, arm) for size in job.spec.copies.sample_sizes for arm in ARMS]
    if not fresh_jit:
        # What is compiled for a size is compiled before it is timed.
        for size, arm in models:
            trainer.train(size, arm, 0)
    return Prepared(lambda seed: [trainer.train(size, arm, seed) for size, arm in models])


def engine_contender(spec: BenchSpec) -> Prepared:
    """By seed, which counts rounds from 1, other runs of every size and arm: test accuracies. Reports the seconds of
    compiling."""
    job = make_experiment(spec)
    [program] = job.programs
    run_groups, count = make_run_groups(job, program), job.spec.num_runs * len(program.settings)
    trainer, seconds = make_compiled_trainer(job.dataset, program, run_groups, dict.fromkeys(run_groups, count))

    def train(seed: int) -> list[float]:
        spans = {name: [Span((seed - 1) * count, seed * count)] for name in run_groups}
        return train_chunks(trainer, cut_chunks(spans, trainer.chunk_size), "test_accuracy")[0].tolist()

    return Prepared(train, seconds)


CONTENDERS = make_contenders(sequential_contender, engine_contender)


def measure_oversampling(spec: BenchSpec) -> str:
    """The table of models a second of the three contenders.

    Raises:
      UserError: for data or flags that cannot be used, before any worker starts.
    """
    job = make_experiment(spec)
    with InterleavedBenchmark(CONTENDERS, spec) as benchmark:
        turns = benchmark.run_rounds(range(1, spec.rounds + 1))
    asked, sizes = job.spec, job.spec.copies.sample_sizes
    lines = [
        f"{spec.job.data.dataset}, samples of {', '.join(f'{size:,}' for size in sizes)}, "
        f"{len(job.dataset.test_labels):,} test examples, {asked.model.model}, {asked.train.epochs} epochs, "
        f"batch {asked.train.batch_size}; "
        f"{len(sizes) * len(ARMS) * asked.num_runs:,} models, one program, compiled and arranged in "
        f"{benchmark.facts['jaxgen']:.1f} s (not counted); {count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| way | models/s | jaxgen / this | test accuracy (n models) |",
        "| --- " * 4 + "|",
    ]
    titles = {"demo": "fresh `jit` a model", "plain": "compiled once", "jaxgen": "jaxgen"}
    return "\n".join([*lines, *contender_rows(titles, turns, lambda seconds: 1 / seconds)])
