"""What every experiment promises: a dry run trains nothing, a job leaves its files, a resumed one the same bytes."""

import csv
import importlib
import pathlib
from typing import NamedTuple

import numpy as np
import pytest

from jaxgen.config import CscoreSpec, LnrSpec, MislabelledSpec, OversamplingSpec, RandomizationSpec, RobustnessSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.jobs.experiment import Experiment, run_job
from jaxgen.jobs.session import QUIET

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
TRAINING = {"hidden": (16,), "epochs": 4, "batch_size": 8, "learning_rate": 0.05, "width": 3}


class Case(NamedTuple):
    """A small job of an experiment.

    Attributes:
      module: the folder of the experiment.
      spec: of its command.
      flags: besides those of the data and the folder.
      data: the file of its data.
      files: what it leaves, beside flags.cfg.
      rows: the table of a row a member, how many rows it has, and some of their columns.
    """

    module: str
    spec: type
    flags: dict
    data: str
    files: tuple[str, ...]
    rows: tuple[str, int, set[str]]


CASES = {
    "cscore": Case(
        "cscore",
        CscoreSpec,
        {**TRAINING, "num_runs": 10, "subset_ratios": (0.3, 0.7)},
        "mine",
        ("cscores.npz", "examples.png", "examples.pdf", "histogram.png"),
        ("", 0, set()),
    ),
    "sweep": Case(
        "cscore",
        CscoreSpec,
        {**TRAINING, "num_runs": 3, "subset_ratios": (0.6,), "weight_decay": (0.0, 0.01)},
        "mine",
        ("results.csv", "settings.csv", "settings.md", "settings.png"),
        ("results.csv", 6, {"setting", "weight_decay", "subset_ratio", "run", "heldout_accuracy", "finite", "seconds"}),
    ),
    "mislabelled": Case(
        "mislabelled",
        MislabelledSpec,
        {**TRAINING, "num_runs": 5},
        "mine",
        ("mislabelled.csv", "mislabelled.png", "table.md", "cscores.npz"),
        ("mislabelled.csv", 60, {"rank", "id", "label", "suggested", "score", "stderr", "heldout_n"}),
    ),
    "randomization": Case(
        "randomization",
        RandomizationSpec,
        {**TRAINING, "num_runs": 2, "label_noise": (0.0, 1.0)},
        "mine",
        ("results.csv", "curves.npz", "table.md", "takeaways.md", "figure1.png", "curves.png"),
        ("results.csv", 4, {"setting", "label_noise", "run", "finite", "train_accuracy", "test_accuracy", "fitted"}),
    ),
    "robustness": Case(
        "robustness",
        RobustnessSpec,
        {**TRAINING, "num_runs": 2, "preset": "none", "corruptions": ("contrast",), "severities": (5,)},
        "wide",
        ("results.csv", "corrupted.csv", "f1.csv", "table.md", "takeaways.md", "curves.npz", "heat_map.png"),
        ("results.csv", 2, {"setting", "run", "finite", "test_accuracy", "robustness_drop", "mce"}),
    ),
    "oversampling": Case(
        "oversampling",
        OversamplingSpec,
        {**TRAINING, "num_runs": 2, "sample_sizes": (24, 48), "arm": ("plain", "duplicates")},
        "mine",
        ("results.csv", "table.md", "takeaways.md", "figure.png"),
        ("results.csv", 8, {"setting", "arm", "sample_size", "run", "finite", "dev_accuracy", "test_accuracy"}),
    ),
    "longtail": Case(
        "longtail",
        LnrSpec,
        {**TRAINING, "num_runs": 2, "imbalance": 4.0, "head_epochs": 2, "head_batch_size": 16, "threshold": (1.0,)}
        | {"methods": ("mislas", "lnr")},
        "tail",
        ("results.csv", "table.md", "takeaways.md", "methods.png", "reliability.png", "thresholds.png"),
        ("results.csv", 4, {"method", "threshold", "run", "finite", "test_accuracy", "balanced_accuracy", "flips"}),
    ),
    "tabular": Case(
        "tabular",
        LnrSpec,
        {"num_runs": 1, "folds": 3, "classifiers": ("knn",), "treatments": ("none", "lnr"), "threshold": (1.0, 2.0)},
        "table",
        ("results.csv", "thresholds.csv", "table.md", "takeaways.md", "treatments.png"),
        ("results.csv", 6, {"table", "run", "fold", "classifier", "treatment", "f1", "g_mean", "auc"}),
    ),
}


def blobs(count, side, seed=0, classes=3):
    """Noisy images, one bright pixel a class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    images = rng.integers(0, 160, (count, side * side))
    images[np.arange(count), labels] += 90
    return images.astype(np.uint8).reshape(count, side, side), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol")
    for name, count, side in (("mine", 60, 4), ("wide", 60, 8), ("tail", 120, 4)):
        (images, labels), (tests, test_labels) = blobs(count, side), blobs(30, side, seed=1)
        np.savez(folder / f"{name}.npz", images=images, labels=labels, test_images=tests, test_labels=test_labels)
    rng = np.random.default_rng(0)
    labels = (np.arange(90) % 6 == 0).astype(int)
    np.savez(folder / "table.npz", images=rng.normal(size=(90, 3)) + labels[:, None], labels=labels)
    return folder


def experiment_of(case: Case) -> Experiment:
    return importlib.import_module(f"jaxgen.experiments.{case.module}.experiment").EXPERIMENT


def spec_of(case: Case, folder: pathlib.Path, out: str, **flags):
    data = {"dataset": f"npz:{folder / case.data}.npz", "out": str(folder / out)}
    return spec_from_values(case.spec, {**case.flags, **data, **flags})


@pytest.fixture(scope="module", params=CASES)
def finished(request, folder):
    """A case, its folder, what a first call returned and left, and what a second returned and logged."""
    case, out = CASES[request.param], folder / request.param
    first = run_job(experiment_of(case), spec_of(case, folder, request.param), QUIET)
    kept = read_all(out)
    logged = []
    second = run_job(experiment_of(case), spec_of(case, folder, request.param), QUIET._replace(log=logged.append))
    return case, out, first, kept, second, logged


def read_all(out: pathlib.Path) -> dict[str, bytes]:
    """All files of a job but its chunks; of score files all arrays but what the call itself took."""
    found = {}
    for path in sorted(out.rglob("*")):
        if not path.is_file() or {"store", "stage2", "models"} & {*path.relative_to(out).parts}:
            continue
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found[path.name] = b"".join(arrays[name].tobytes() for name in arrays.files if name != "metadata")
        else:
            found[str(path.relative_to(out))] = path.read_bytes()
    return found


def test_every_experiment_is_told_by_the_protocol():
    folders = {path.parent.name for path in (pathlib.Path(__file__).parents[2] / "jaxgen/experiments").glob("*/job.py")}
    assert folders == {case.module for case in CASES.values()}
    for case in CASES.values():
        experiment = experiment_of(case)
        assert experiment.report == f"jaxgen.experiments.{case.module}.report"
        assert all(map(callable, (experiment.load, experiment.folder, experiment.plan, experiment.measure)))
        assert hasattr(importlib.import_module(experiment.report), "make_report")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_dry_run_trains_nothing(name, folder):
    case = CASES[name]
    text, files = run_job(experiment_of(case), spec_of(case, folder, f"dry_{name}", dry_run=True), QUIET)
    assert "nothing was trained" in text
    assert files == []
    assert not list((folder / f"dry_{name}").rglob("*-*.npz"))


def test_a_job_leaves_the_files_that_readme_names(finished):
    case, _, (text, files), kept, *_ = finished
    assert text.strip()
    assert {*case.files, "flags.cfg"} <= {*kept} | {path.name for path in files}
    for path in files:
        assert "*" in str(path) or path.stat().st_size, path
        assert path.stem in README, f"README says what {path.name} is"


def test_there_is_a_row_a_member_with_the_columns_promised(finished):
    case, out, *_ = finished
    name, count, columns = case.rows
    if not name:
        pytest.skip("its scores are arrays")
    with open(out / name, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count
    assert columns <= rows[0].keys()
    assert all(value is not None for row in rows for value in row.values())


def test_a_job_called_again_trains_nothing_and_writes_the_same_bytes(finished):
    _, out, first, kept, second, _ = finished
    assert first[1] == second[1]
    again = read_all(out)
    assert again.keys() == kept.keys()
    # Pictures tell no times; their files may hold the time at which they were written.
    same = [name for name in kept if pathlib.Path(name).suffix not in (".pdf",)]
    assert [name for name in same if kept[name] != again[name]] == []
    assert "models trained in" not in second[0]


def test_the_first_line_tells_what_was_read(finished):
    case, *_, logged = finished
    examples = {"mine": "60 images of 4x4x1", "wide": "60 images of 8x8x1", "tail": "120 images of 4x4x1"}
    said = examples.get(case.data, "90 rows of 3 numbers")
    assert logged[0].startswith(f"read {case.data}: {said}, ")
    assert sum(line.startswith("read ") for line in logged) == 1
