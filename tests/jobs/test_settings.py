"""Sweeps: every combination of lists is trained, in as few programs as can be, and told apart in the results."""

import csv
import json
import re

import numpy as np
import pytest

import jaxgen
from jaxgen import UserError
from jaxgen.config import CscoreSpec, sweep
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.engine.ensemble import Ensemble
from jaxgen.experiments.cscore import run as cscore
from jaxgen.experiments.cscore import sweep_table as tables
from jaxgen.experiments.cscore.job import make_job, make_workload
from jaxgen.experiments.cscore.report import make_report
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.program import make_programs, subset_rows
from jaxgen.jobs.session import QUIET, Session
from support.data import blobs
from support.written import written

FLAGS = {"subset_ratios": (0.5, 0.8), "num_runs": 4, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}
LISTS = {"weight_decay": (0.0, 0.01), "learning_rate": (0.03, 0.1, 0.2)}


# Digest of a plan from before --rotate and --augmix were added.
RECORDED = "cad9be4a1194"


@pytest.fixture(scope="module")
def data():
    images, labels = blobs(60)
    return make_dataset("mine", images, labels, source="mine", class_names=["a", "b", "c"])


def score(data, folder, **flags):
    spec = spec_from_values(CscoreSpec, {**FLAGS, "out": str(folder), **flags})
    return spec, cscore.score_settings(data, spec, QUIET)


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    spec, found = score(data, folder, **LISTS)
    text, files = written(make_report(make_job(data, spec), found), "jaxgen.cscore", "python -m jaxgen.cscore")
    return folder, spec, found, text, files


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_combination_is_scored_and_named(swept):
    _, _, found, _, _ = swept
    names = [setting.name for setting, _ in found]
    assert names[:2] == ["learning_rate=0.03,weight_decay=0", "learning_rate=0.03,weight_decay=0.01"]
    assert len(set(names)) == 6
    for setting, scores in found:
        assert scores.heldout_accuracy.shape == (2, 4)
        assert scores.metadata["setting"] == setting.name
        assert scores.metadata["flags"]["weight_decay"] == f"{setting.spec.regularization.weight_decay:g}"


@pytest.mark.slow
def test_each_setting_is_what_it_is_alone(swept, data, tmp_path):
    _, _, found, _, _ = swept
    for position in (0, 5):
        setting, scores = found[position]
        flags = {
            "weight_decay": setting.spec.regularization.weight_decay,
            "learning_rate": setting.spec.train.learning_rate,
        }
        _, [(_, alone)] = score(data, tmp_path / str(position), **flags)
        np.testing.assert_array_equal(alone.counts, scores.counts)
        # Two programs may round apart, and an answer tip where two logits tie.
        assert np.abs(alone.heldout_accuracy - scores.heldout_accuracy).max() <= 0.05


def test_runs_of_one_number_share_their_subset_in_all_settings(swept):
    folder, _, _, _, _ = swept
    paths = list(folder.glob("store/*/ratio_0.5/*.npz"))
    assert paths
    for path in paths:
        with np.load(path) as file:
            masks = {}
            for run, mask in zip(file["run"] // 6, file["trained_on"], strict=True):
                masks.setdefault(run, set()).add(mask.tobytes())
            assert all(len(kinds) == 1 for kinds in masks.values())


def test_numbers_share_one_program_and_names_make_more():
    one = spec_from_values(CscoreSpec, {**LISTS, "dropout": (0.0, 0.5), "mixup": (0.0, 1.0)})
    assert [len(program.settings) for program in make_programs(one)] == [24]
    more = spec_from_values(CscoreSpec, {**LISTS, "optimizer": ("sgd", "adam"), "epochs": (2, 3)})
    programs = make_programs(more)
    assert [program.name for program in programs] == [
        "epochs=2,optimizer=sgd",
        "epochs=2,optimizer=adam",
        "epochs=3,optimizer=sgd",
        "epochs=3,optimizer=adam",
    ]
    assert all(len(program.settings) == 6 for program in programs)


def test_two_hundred_settings_compile_once(data, tmp_path, monkeypatch):
    compiled = []
    compile_ = Ensemble.compile

    def counting(self, rows, width, names):
        before = set(self.compiled)
        compile_(self, rows, width, names)
        compiled.extend(set(self.compiled) - before)

    monkeypatch.setattr(Ensemble, "compile", counting)
    lists = {"weight_decay": tuple(i / 1000 for i in range(10)), "learning_rate": tuple(0.01 * i for i in range(1, 21))}
    _, found = score(data, tmp_path, **lists, num_runs=1, subset_ratios=(0.5,), epochs=1, width=10)
    assert len(found) == 200
    assert sorted(compiled) == [("advance", 10), ("finish", 10), ("start", 10)]


def test_rows_of_a_table_by_hand():
    [program] = make_programs(spec_from_values(CscoreSpec, LISTS))
    row = subset_rows(program, 0.5, 60, np.array([0, 5, 6, 13]))
    assert row.setting.tolist() == [0, 5, 0, 1]
    assert row.subset.index.tolist() == [0, 0, 1, 2]


def test_the_files_of_a_sweep(swept):
    folder, _, found, text, files = swept
    assert {"results.csv", "settings.csv", "settings.md"} <= {file.name for file in files}
    assert all(list(folder.glob(str(file.relative_to(folder)))) for file in files)
    members, settings = rows_of(folder / "results.csv"), rows_of(folder / "settings.csv")
    assert len(members) == 6 * 2 * 4
    assert len(settings) == 6 * 2
    for row in settings:
        own = [one for one in members if (one["setting"], one["subset_ratio"]) == (row["setting"], row["subset_ratio"])]
        assert len(own) == int(row["n"]) == 4
        heldout = [float(one["heldout_accuracy"]) for one in own]
        np.testing.assert_allclose(float(row["heldout_accuracy"]), np.mean(heldout))
        np.testing.assert_allclose(float(row["heldout_accuracy_sd"]), np.std(heldout, ddof=1))
    assert float(settings[0]["rank_correlation"]) == 1
    assert (folder / "settings.md").read_text().strip() in text
    for setting, scores in found:
        again = jaxgen.load_scores(folder / "settings" / setting.name / "cscores.npz")
        np.testing.assert_array_equal(again.scores, scores.scores)
    assert "--learning_rate=0.03,0.1,0.2" in (folder / "flags.cfg").read_text()


def test_the_table_reads_well(swept):
    _, spec, _, _, _ = swept
    lines = (swept[0] / "settings.md").read_text().splitlines()
    assert lines[0].startswith("| learning_rate | weight_decay | ratio | train | held-out | gap | models |")
    assert len(lines) == 2 + 12
    assert lines[2].startswith("| 0.03 | 0 | 0.5 | ")
    assert sweep.swept(spec) == ("learning_rate", "weight_decay")


def test_a_sweep_resumes_and_grows(swept, data):
    folder, _, found, _, _ = swept
    _, again = score(data, folder, **LISTS)
    assert again[0][1].metadata["models_now"] == 0
    _, grown = score(data, folder, **{**LISTS, "num_runs": 6})
    assert grown[0][1].metadata["models_now"] == 6 * 2 * 2
    np.testing.assert_array_equal(grown[3][1].heldout_accuracy[:, :4], found[3][1].heldout_accuracy)


def test_each_program_keeps_settings_of_its_own(data, tmp_path):
    _, found = score(data, tmp_path, optimizer=("sgd", "adam"), learning_rate=0.01, num_runs=2)
    assert [setting.name for setting, _ in found] == ["optimizer=sgd", "optimizer=adam"]
    names = sorted(path.name for path in tmp_path.glob("store/*/plan*.json"))
    assert names == ["plan-optimizer=adam.json", "plan-optimizer=sgd.json", "plan.json"]
    settings = json.loads(next(tmp_path.glob("store/*/plan-optimizer=adam.json")).read_text())["settings"]
    assert settings == {"width": 2, "microbatch_size": None, "convolutions": {}, "block": 4}


@pytest.mark.slow
def test_the_python_interface_takes_lists():
    images, labels = blobs(60)
    found = jaxgen.estimate_settings(images, labels, **{**FLAGS, "num_runs": 2, "weight_decay": [0.0, 0.1]})
    assert list(found) == ["weight_decay=0", "weight_decay=0.1"]
    [scores] = jaxgen.estimate_settings(images, labels, **{**FLAGS, "subset_ratios": 0.5, "hidden": 8}).values()
    assert scores.subset_ratios.tolist() == [0.5]
    with pytest.raises(UserError, match="estimate_settings"):
        jaxgen.estimate_scores(images, labels, **{**FLAGS, "num_runs": 2, "weight_decay": [0.0, 0.1]})


def test_rank_correlation_by_hand():
    scores = np.array([0.1, 0.2, np.nan, 0.4])
    assert tables.correlate_ranks(scores, scores**2) == 1
    assert tables.correlate_ranks(scores, -scores) == -1
    assert np.isnan(tables.correlate_ranks(scores, np.zeros(4)))


def test_a_plan_tells_members_width_and_time_and_trains_nothing(data, tmp_path):
    spec = spec_from_values(CscoreSpec, {**FLAGS, **LISTS, "optimizer": ("sgd", "adam"), "out": str(tmp_path)})
    said = []
    plan = describe_workload(make_workload(make_job(data, spec)), Session(log=said.append))
    lines = [line for line in plan.splitlines() if line.startswith("| optimizer=")]
    assert len(lines) == 2
    run_groups = [run_group.strip() for run_group in lines[0].strip("|").split("|")]
    assert run_groups[:6] == ["optimizer=sgd", "6", "48", "0", str(16 * 8 + 8 + 8 * 3 + 3), "2"]
    assert float(run_groups[6].replace(",", "")) >= 0
    assert run_groups[7] == "under 1 s" or re.fullmatch(r"[0-9.]+ (s|min)", run_groups[7])
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.slow
def test_where_memory_does_not_do_the_width_is_halved_and_the_job_goes_on(data, tmp_path, monkeypatch):
    import jax

    train, tried = Ensemble.train, []

    def short_of_memory(self, rows, width, *arguments, **named):
        tried.append(width)
        if width > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
        return train(self, rows, width, *arguments, **named)

    monkeypatch.setattr(Ensemble, "train", short_of_memory)
    spec = spec_from_values(CscoreSpec, {**FLAGS, "width": 4, "out": str(tmp_path)})
    said = []
    [(_, scores)] = cscore.score_settings(data, spec, Session(log=said.append))
    assert tried[:3] == [4, 2, 1]
    assert "out of memory at width 4; going on at width 2" in said
    assert np.isfinite(scores.heldout_accuracy).all()
    assert scores.metadata["width"] == 1
    # The very same command goes on at the width that was found.
    again = spec_from_values(CscoreSpec, {**FLAGS, "width": 4, "num_runs": 6, "out": str(tmp_path)})
    [(_, more)] = cscore.score_settings(data, again, QUIET)
    assert (more.metadata["models_now"], more.metadata["width"]) == (4, 1)
    with pytest.raises(UserError, match="--width=3: the runs kept here were trained at width 1"):
        score(data, tmp_path, width=3)


@pytest.mark.slow
def test_settings_that_diverge_cost_the_others_nothing(data, tmp_path):
    """Not even where the first ten are of that kind, and in a sweep of epochs, which make a program each."""
    lists = {"learning_rate": (1e30, 0.1), "weight_decay": tuple(i / 100 for i in range(10)), "epochs": (2, 3)}
    spec, found = score(data, tmp_path, **lists, num_runs=2, subset_ratios=(0.5,), width=5)
    assert len(found) == 40
    for setting, scores in found:
        diverged = setting.spec.train.learning_rate > 1
        assert np.isnan(scores.heldout_accuracy).all() == diverged
        assert scores.metadata["diverged"] == 2 * diverged
    written(make_report(make_job(data, spec), found), "jaxgen.cscore", "python -m jaxgen.cscore")
    rows = rows_of(tmp_path / "settings.csv")
    assert {row["diverged"] for row in rows if row["learning_rate"] == "1e+30"} == {"2"}
    assert {row["n"] for row in rows if row["learning_rate"] == "0.1"} == {"2"}
    assert {(row["epochs"], row["epochs_trained"]) for row in rows if row["n"] == "2"} == {("2", "2.0"), ("3", "3.0")}


def test_where_all_settings_diverge_there_is_nothing_to_write(data, tmp_path):
    with pytest.raises(UserError, match="all 4 models diverged, in every setting"):
        score(data, tmp_path, learning_rate=(1e30, 1e31), subset_ratios=(0.5,))


@pytest.mark.slow
def test_training_accuracy_is_of_what_was_learnt(tmp_path):
    """Labels at random are learnt by heart, but not those of the validation examples, which are only looked at."""
    rng = np.random.default_rng(0)
    noise = make_dataset("noise", rng.normal(size=(60, 20)).astype(np.float32), rng.integers(0, 3, 60), source="noise")
    flags = {"validation_share": 0.5, "hidden": (64,), "epochs": 60, "learning_rate": 0.2, "subset_ratios": (0.8,)}
    score(noise, tmp_path, **flags)
    paths = list(tmp_path.glob("store/*/ratio_0.8/*.npz"))
    assert paths
    for path in paths:
        with np.load(path) as file:
            assert (file["train_accuracy"] == 1).all()
            assert (file["validation_accuracy"] < 0.75).all()
            validation = np.unpackbits(file["validation"], axis=1, count=60)
            trained_on = np.unpackbits(file["trained_on"], axis=1, count=60)
            assert (validation.sum(1) == 24).all()
            assert (validation <= trained_on).all()


def test_stores_from_before_an_augmentation_was_added_stay_valid(data):
    def digest(**flags):
        return make_workload(make_job(data, spec_from_values(CscoreSpec, {**FLAGS, **flags}))).plan.digest

    assert digest() == RECORDED
    assert len({digest(rotate=rotate, augmix=augmix) for rotate in (0.0, 15.0) for augmix in (0, 3)}) == 4
