"""Influence and exported runs as the command line gives them, held against the exported runs themselves."""

import json
import shutil

import numpy as np
import pytest

from jaxgen import load_scores
from jaxgen.config import CscoreSpec, flags
from jaxgen.data.published import run_files
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.export import export_runs
from jaxgen.experiments.cscore.influence import add_influence
from jaxgen.experiments.cscore.influence_figure import describe_influence, draw_influence
from support.commands import type_in
from support.cscore_jobs import SMALL
from support.data import make_data

JOB = [*SMALL, "--subset_ratios=0.5,0.8", "--influence_pairs=3", "--export_runs=runs"]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = make_data(tmp_path_factory.mktemp("job"))
    result = type_in(folder, *JOB)
    assert result.returncode == 0, result.stderr
    return folder, result, load_scores(folder / "out" / "cscores.npz")


def exported(folder, ratio):
    """All runs of a ratio: bool ``[m, n]``, ``[m, n]``, ``[m, t]``."""
    runs = [run_files.read_run(folder / "runs" / ratio / str(run) / "aux_arrays.npz") for run in range(10)]
    return [np.stack(rows) for rows in zip(*runs, strict=True)]


def test_exported_runs_are_those_that_are_scored(job):
    folder, _, scores = job
    for place, ratio in enumerate(("0.5", "0.8")):
        trained_on, correct, tests = exported(folder, ratio)
        np.testing.assert_array_equal((~trained_on).sum(0), scores.counts[place])
        np.testing.assert_allclose((correct & ~trained_on).sum(0) / scores.counts[place], scores.scores_by_ratio[place])
    assert tests.shape == (10, 30)
    with np.load(folder / "runs" / "0.8" / "3" / "aux_arrays.npz", allow_pickle=False) as file:
        assert set(file.files) == {
            f"{what}_{part}" for what in ("correctness", "index") for part in ("train", "removed", "test")
        } | {"subsample_idx"}
        assert np.array_equal(file["subsample_idx"], np.flatnonzero(trained_on[3]))


def test_influences_are_those_of_the_runs(job):
    folder, _, scores = job
    more = scores.more
    assert more["influence_ratio"] == 0.8, "the ratio nearest 0.7"
    trained_on, _, tests = exported(folder, "0.8")
    assert more["influence_train"].dtype == more["influence_test"].dtype == np.int32
    assert more["influence"].dtype == more["influence_stderr"].dtype == np.float32
    for i, j, value in zip(more["influence_train"], more["influence_test"], more["influence"], strict=True):
        inside = trained_on[:, i]
        assert value == pytest.approx(tests[inside, j].mean() - tests[~inside, j].mean(), abs=1e-6)
    assert (np.diff(more["influence"]) <= 0).all()
    assert more["influence"].min() > 0
    # Three of every test example that some run gets wrong, and some run right.
    open_cases = np.flatnonzero(tests.any(0) & ~tests.all(0))
    assert (np.bincount(more["influence_test"], minlength=30)[open_cases] >= 3).mean() > 0.9
    np.testing.assert_allclose(more["test_accuracy_by_example"], tests.mean(0))
    assert more["test_labels"].shape == (30,)
    assert more["test_ids"].tolist() == list(range(30))


def test_the_job_tells_of_them_and_draws_them(job, dataset):
    folder, result, scores = job
    assert (folder / "out" / "influence.png").stat().st_size > 1000
    assert "out/influence.png" in result.stdout
    told = scores.metadata["influence"]
    assert told["num_runs"] == 10
    assert f"there are {told['pairs']:,}, on {told['test_examples']:,}" in result.stdout
    figure = draw_influence(dataset, scores)
    shown = [text.get_text() for text in figure.axes[0].texts]
    best = int(scores.more["influence_test"][0])
    assert f"right: {scores.more['test_accuracy_by_example'][best]:.2f}" in shown
    assert f"{scores.more['influence'][0]:.2f} ± {scores.more['influence_stderr'][0]:.2f}" in shown
    assert "n = 10 runs" in " ".join(text.get_text() for text in figure.texts)
    assert f"{scores.more['influence'][0]:.3f} [" in describe_influence(dataset, scores)


def test_without_the_flag_nothing_is_computed_and_the_runs_are_the_same_job(job, tmp_path):
    folder, _, scores = job
    shutil.copytree(folder, tmp_path / "copy")
    again = type_in(tmp_path / "copy", *[flag for flag in JOB if "influence" not in flag and "export" not in flag])
    assert again.stdout.startswith("0 models trained")
    plain = load_scores(tmp_path / "copy" / "out" / "cscores.npz")
    assert not [key for key in plain.more if key.startswith(("influence", "test_"))]
    np.testing.assert_array_equal(plain.scores, scores.scores)


@pytest.mark.slow
def test_within_classes_and_in_a_sweep(job, tmp_path):
    make_data(tmp_path)
    flags = ["--influence_within_class", "--dropout=0,0.3", "--subset_ratios=0.8"]
    result = type_in(tmp_path, *JOB, *flags)
    assert result.returncode == 0, result.stderr
    for setting in ("dropout=0", "dropout=0.3"):
        scores = load_scores(tmp_path / "out" / "settings" / setting / "cscores.npz")
        train, test = scores.more["influence_train"], scores.more["influence_test"]
        assert len(train)
        np.testing.assert_array_equal(scores.labels[train], scores.more["test_labels"][test])
        assert json.loads(json.dumps(scores.metadata))["influence"]["num_runs"] == 10
        assert run_files.is_run_folder(tmp_path / "runs" / setting)


def test_exported_runs_are_of_one_job_and_no_more_than_it_has(job, tmp_path):
    shutil.copytree(job[0], tmp_path / "copy")
    folder = tmp_path / "copy" / "runs"
    fewer = [flag for flag in JOB if not flag.startswith(("--num_runs", "--subset_ratios"))]
    result = type_in(tmp_path / "copy", *fewer, "--num_runs=6", "--subset_ratios=0.8")
    assert result.stdout.startswith("0 models trained"), result.stderr
    assert {str(file.relative_to(folder)) for file in folder.rglob("*.npz")} == {
        f"0.8/{run}/aux_arrays.npz" for run in range(6)
    }
    assert not (folder / "0.5").exists()
    before = {file: file.read_bytes() for file in folder.rglob("*.npz")}
    result = type_in(tmp_path / "copy", *JOB, "--seed=1", "--out=other")
    assert result.returncode == 2
    [line] = result.stderr.strip().splitlines()
    assert "--export_runs=runs: has runs that this job did not write" in line
    assert before == {file: file.read_bytes() for file in folder.rglob("*.npz")}
    (folder / "plan.txt").unlink()
    assert type_in(tmp_path / "copy", *JOB).returncode == 2, "runs of nobody knows whom"


def test_a_run_that_diverged_since_leaves_no_file(job, dataset, tmp_path):
    spec = flags.parse(CscoreSpec, ["--subset_ratios=0.8", f"--export_runs={tmp_path / 'runs'}"])
    trained_on, correct, tests = exported(job[0], "0.8")

    def runs(finite):
        arrays = (np.packbits(rows, axis=1) for rows in (trained_on, correct, tests))
        rest = np.zeros((10, 1), np.float32), np.zeros(10, np.int32), finite, np.zeros((10, 0), np.uint8)
        return lambda i: [run_files.Outcome(*arrays, *rest)]

    for finite in (np.ones(10, bool), np.arange(10) != 4):
        export_runs(dataset, spec, "", runs(finite), "digest")
        kept = {int(file.parent.name) for file in (tmp_path / "runs").rglob("*.npz")}
        assert kept == {*np.flatnonzero(finite).tolist()}
    with pytest.raises(UserError, match="has runs that this job did not write"):
        export_runs(dataset, spec, "", runs(np.ones(10, bool)), "another")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--influence_pairs=5"], "--influence_pairs=5: is of training examples on test examples, and digits has no"),
        (["--influence_pairs=-1"], "--influence_pairs=-1: must be 0 or more"),
        (["--influence_within_class"], "--influence_within_class: goes with --influence_pairs"),
        (["--export_runs=/proc/nowhere"], "--export_runs=/proc/nowhere: cannot be written"),
    ],
)
def test_mistakes_are_one_line(tmp_path, flags, said):
    result = type_in(tmp_path, *flags)
    assert result.returncode == 2
    [line] = result.stderr.strip().splitlines()
    assert said in line


def test_runs_that_are_all_gone_have_no_pairs(job, dataset):
    """A setting of a sweep whose models all diverged costs the others nothing."""
    scores = job[2]
    spec = words_of(scores)
    _, correct, tests = exported(job[0], "0.8")
    gone = run_files.Outcome(
        *(np.packbits(rows, axis=1) for rows in (correct, correct, tests)),
        np.zeros((10, 1), np.float32),
        np.zeros(10, np.int32),
        np.zeros(10, bool),
        np.zeros((10, 0), np.uint8),
    )
    found = add_influence(dataset, spec, lambda i: [gone], scores)
    assert len(found.more["influence"]) == 0
    assert np.isnan(found.more["test_accuracy_by_example"]).all()
    draw_influence(dataset, found)


def words_of(scores):
    assert scores.metadata["flags"]["influence_pairs"] == "3"
    return flags.parse(CscoreSpec, ["--influence_pairs=3", "--subset_ratios=0.5,0.8"])


def test_a_run_of_another_layout_is_refused(job, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(job[0] / "runs", folder)
    file = folder / "0.5" / "4" / "aux_arrays.npz"
    with np.load(file) as arrays:
        good = {name: arrays[name] for name in arrays.files}
    cases = [
        ({**good, "index_train": good["index_train"][:-1]}, "do not belong together"),
        ({**good, "index_train": good["index_train"] * 0}, "are not those of 60 examples"),
        ({name: good[name] for name in good if name != "index_removed"}, "has not the layout of published runs"),
        ({**good, "index_test": np.arange(29), "correctness_test": np.ones(29, bool)}, "60 training and 29 test"),
        ({**good, "index_removed": good["index_removed"].astype(object)}, "has not the layout"),
    ]
    for arrays, said in cases:
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=said):
            list(run_files.stream_runs(run_files.open_run_folder(folder), 0))
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"is no \.npz file"):
        list(run_files.stream_runs(run_files.open_run_folder(folder), 0))
    (folder / "half" / "0").mkdir(parents=True)
    (folder / "half" / "0" / "aux_arrays.npz").touch()
    with pytest.raises(UserError, match="is not in a folder <subset ratio>"):
        run_files.open_run_folder(folder)
