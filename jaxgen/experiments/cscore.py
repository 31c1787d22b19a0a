"""C-scores: train models on random subsets at several ratios, and score each example by how often it is got right when
held out (Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206)."""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import jaxgen
from jaxgen import spec as words
from jaxgen.data.checks import make_dataset
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.learner import Learner, make_learner, num_parameters
from jaxgen.engine.training import Recipe
from jaxgen.errors import UserError
from jaxgen.experiments.members import Cell, Trainer, constant_knobs, links_in_use, tell, train_missing_runs
from jaxgen.models import make_model
from jaxgen.optim import Knobs, make_optimizer
from jaxgen.runs.devices import start_devices
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.scores import designs, heldout
from jaxgen.spec import CscoreSpec
from jaxgen.types import Dataset, Outcome, Scores

# Raised whenever the same flags would give other numbers than before.
NUMERICS = 1
# Folded into the root key for the random halves of the reliability.
RELIABILITY = 102


def estimate_scores(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    test_images: np.ndarray | None = None,
    test_labels: np.ndarray | None = None,
    class_names: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    out: str | None = None,
    progress: bool = False,
    **flags: Any,
) -> Scores:
    """C-scores of the user's own arrays: `python -m jaxgen.cscore` as a function.

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features.
      labels: ``[n]`` integers or text.
      test_images, test_labels: the same for a test set, whose answers are kept with the runs.
      class_names: ``[c]`` names, if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text that name the examples.
      out: folder for finished runs, so that the same call resumes or extends them; without it nothing is kept.
      progress: whether to show what is going on, on standard error.
      **flags: flags of the command line by name, those of the data left out, with Python values: ``num_runs=20``,
        ``subset_ratios=(0.3, 0.7)``, ``hidden=(128, 64)``, ``epochs=10``, ``design="nested"``, ``seed=1``.

    Returns:
      The scores, one an example.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    unknown = flags.keys() - (words.values(CscoreSpec()).keys() - words.values(words.DataSpec()).keys())
    if unknown:
        raise UserError(f"{min(unknown)}: not a flag of jaxgen.cscore that arrays can go with")
    dataset = make_dataset(
        "data",
        images,
        labels,
        source="arrays",
        test_images=test_images,
        test_labels=test_labels,
        class_names=class_names,
        ids=ids,
    )
    chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in flags.items()}
    with tempfile.TemporaryDirectory(prefix="jaxgen-") as folder:
        spec = words.from_values(CscoreSpec, {**chosen, "out": out or folder})
        return score_dataset(dataset, spec, resume="call it again", say=tell if progress else None)


def score_dataset(dataset: Dataset, spec: CscoreSpec, *, resume: str, say: Callable[[str], None] | None) -> Scores:
    """Trains what is missing in the store below ``spec.out`` and estimates the scores from it.

    Args:
      dataset: the examples.
      spec: what to train, and where to keep it.
      resume: how to go on, for one who stops it.
      say: takes lines about what is going on; with None there is no progress bar either.
    """
    check_job(dataset, spec)
    store = open_store(pathlib.Path(spec.out) / "store", make_plan(dataset, spec), run_bytes(dataset, spec))
    width = store.settled_width(spec.compute.width)
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        trainer = make_trainer(dataset, spec, say or (lambda line: None))
        trainer.say(describe_job(dataset, spec))
        trained = train_missing_runs(trainer, store, width, resume=resume, shown=say is not None)
        scores = collect(dataset, spec, store)
    devices = trainer.ensemble.mesh.devices
    scores.metadata.update(
        devices=f"{devices.size} {devices[0].device_kind} device(s)",
        models_now=trained.models,
        seconds_now=trained.seconds,
        width=store.settled_width(None),
        jax=jax.__version__,
    )
    return scores


def make_trainer(dataset: Dataset, spec: CscoreSpec, say: Callable[[str], None]) -> Trainer:
    """Starts the devices and puts the data on them."""
    copied = sum(array.nbytes for array in (dataset.images, dataset.test_images) if array is not None)
    devices = start_devices(spec.compute.num_devices, copied)
    recipe = Recipe(
        make_job_learner(dataset, spec),
        functools.partial(enrol, spec, len(dataset.labels)),
        spec.train.epochs,
        spec.train.batch_size,
        len(dataset.labels),
        dataset.num_classes,
        dataset.scale,
    )
    return Trainer(Ensemble(recipe, dataset, devices), make_cells(dataset, spec), say)


def enrol(spec: CscoreSpec, num_examples: int, row: designs.SubsetRow) -> tuple[jax.Array, jax.Array, Knobs]:
    """Who a row is: the key of its draws, the examples it trains on, its strengths."""
    root = jax.random.key(spec.seed)
    return designs.run_key(root, row), designs.draw_subset(root, row, num_examples), constant_knobs(spec.train)


def make_job_learner(dataset: Dataset, spec: CscoreSpec) -> Learner:
    """The network and the optimizer that the flags name."""
    model = make_model(spec.model, dataset.num_classes)
    return make_learner(model, make_optimizer(links_in_use(spec.train)), dataset.images.shape[1:])


def check_job(dataset: Dataset, spec: CscoreSpec) -> None:
    """Refuses what the data set is too small for, and unknown models."""
    make_model(spec.model, dataset.num_classes)
    count = len(dataset.labels)
    needed = max(2, dataset.num_classes)
    for ratio in spec.subsets.subset_ratios:
        smallest, largest = designs.subset_sizes(spec.subsets.design, ratio, count)
        if smallest < needed:
            raise UserError(
                f"--subset_ratios={ratio:g}: is {smallest} of {count} examples; a subset needs {needed} or more, one a "
                f"class; leave out ratios below {needed / count:.2g}"
            )
        if largest >= count:
            raise UserError(f"--subset_ratios={ratio:g}: holds out none of {count} examples; leave it out")


def make_plan(dataset: Dataset, spec: CscoreSpec) -> Plan:
    """The job's identity and its cells: one a ratio."""
    decisive = {**words.values(spec.model), **words.values(spec.train)}
    decisive |= {"design": spec.subsets.design, "seed": spec.seed}
    identity = {f"--{name}": words.format_value(value) for name, value in decisive.items()}
    identity |= {"the data": f"{dataset.name} {dataset.fingerprint[:12]}", "the numerics version": str(NUMERICS)}
    return Plan(identity, {cell_name(ratio): spec.subsets.num_runs for ratio in spec.subsets.subset_ratios})


def cell_name(ratio: float) -> str:
    """The name of a ratio's runs in plans and stores."""
    return f"ratio_{ratio:g}"


def make_cells(dataset: Dataset, spec: CscoreSpec) -> dict[str, Cell]:
    """From each ratio's name to the rows of its runs."""
    design, count = spec.subsets.design, len(dataset.labels)
    return {
        cell_name(ratio): Cell(
            rows=functools.partial(designs.subset_rows, design, ratio, count),
            max_size=designs.subset_sizes(design, ratio, count)[1],
        )
        for ratio in spec.subsets.subset_ratios
    }


def run_bytes(dataset: Dataset, spec: CscoreSpec) -> int:
    """What a run takes on disk, and a little more."""
    tests = 0 if dataset.test_labels is None else len(dataset.test_labels)
    return 2 * len(dataset.labels) // 8 + tests // 8 + 4 * spec.train.epochs + 200


def collect(dataset: Dataset, spec: CscoreSpec, store: Store) -> Scores:
    """The scores from all runs of the store.

    Raises:
      UserError: if all models of a ratio diverged.
    """
    subsets = spec.subsets

    def runs(i: int) -> Iterator[Outcome]:
        for arrays in store.runs(cell_name(subsets.subset_ratios[i])):
            yield Outcome(*(arrays[name] for name in Outcome._fields))

    found = heldout.estimate(
        runs,
        len(dataset.labels),
        subsets.num_runs,
        [designs.block_size(subsets.design, ratio) for ratio in subsets.subset_ratios],
        shared_blocks=subsets.design == "nested",
        key=jax.random.fold_in(jax.random.key(spec.seed), RELIABILITY),
    )
    for ratio, accuracy in zip(subsets.subset_ratios, found.heldout_accuracy, strict=True):
        if not np.isfinite(accuracy).any():
            raise UserError(
                f"--subset_ratios={ratio:g}: all {subsets.num_runs} models diverged; leave this ratio out, or lower "
                "--learning_rate or give --clip_norm with another --out"
            )
    return Scores(
        labels=dataset.labels.astype(np.int64),
        ids=dataset.ids,
        num_runs=subsets.num_runs,
        subset_ratios=np.asarray(subsets.subset_ratios),
        class_names=np.asarray(dataset.class_names),
        metadata={
            "version": jaxgen.__version__,
            "flags": {name: words.format_value(value) for name, value in words.values(spec).items()},
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            "num_models": store.plan.num_runs,
            **totals(store),
        },
        **found._asdict(),
    )


def totals(store: Store) -> dict[str, float]:
    """Over all runs: the seconds they took, and how many diverged."""
    seconds, diverged = 0.0, 0
    for cell in store.plan.cells:
        for arrays in store.runs(cell):
            seconds += float(arrays["seconds"].sum())
            diverged += int((~arrays["finite"]).sum())
    return {"seconds": seconds, "diverged": diverged}


def describe_job(dataset: Dataset, spec: CscoreSpec) -> str:
    """One line: the data, the network, the runs, and where subsets cannot be balanced."""
    subsets = spec.subsets
    shape = "x".join(str(size) for size in dataset.images.shape[1:])
    parameters = num_parameters(make_job_learner(dataset, spec), constant_knobs(spec.train))
    line = (
        f"{dataset.name}: {len(dataset.labels):,} {'images of' if dataset.has_images else 'rows of'} {shape} in "
        f"{dataset.num_classes} classes; {spec.model.model} with {parameters:,} parameters; "
        f"subset ratios: {len(subsets.subset_ratios)}, runs at each: {subsets.num_runs}"
    )
    if subsets.design == "balanced":
        blocks = {f"{ratio:g}": designs.block_shape("balanced", ratio)[0] for ratio in subsets.subset_ratios}
        if odd := [ratio for ratio, block in blocks.items() if not block]:
            line += f"; independent subsets at ratio {', '.join(odd)}, which no block can balance"
        if part := [f"{ratio} ({block})" for ratio, block in blocks.items() if block and subsets.num_runs % block]:
            line += f"; --num_runs is no multiple of the runs to a block at ratio {', '.join(part)}"
    return line
