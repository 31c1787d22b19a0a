"""The benchmark runs, and its tables say what they should. No timing ever fails a test."""

import dataclasses
import os
import re
import subprocess
import sys
import typing

import jax
import numpy as np
import pytest

from jaxgen import bench
from jaxgen.benchmarks import (
    corruptions,
    heads,
    images,
    influence,
    interleaved,
    label_noise,
    oversampling,
    precision,
    scaling,
    speed,
    store,
    width,
)
from jaxgen.benchmarks.measures import MEASURES
from jaxgen.config import BenchSpec, CscoreSpec, LnrSpec, flags
from jaxgen.config.fields import spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.engine.batch import StepIndex
from jaxgen.engine.ensemble import Ensemble
from jaxgen.errors import UserError
from jaxgen.experiments.longtail import job as lnr_job
from jaxgen.experiments.longtail.features import Stage1Outputs
from jaxgen.experiments.longtail.stage2 import make_stage2, num_heads
from jaxgen.jobs.member_table import make_rows
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from support.commands import SERVER

TINY = ["--num_examples=120", "--epochs=2", "--hidden=8", "--num_runs=4", "--width=1", "--rounds=2"]
TINY += ["--demo_models=1", "--plain_models=1"]


@pytest.fixture(autouse=True)
def _quick_workers(monkeypatch):
    """Workers that have Python and JAX loaded."""
    monkeypatch.setattr(interleaved, "PROCESSES", SERVER)


def tiny(*arguments):
    return flags.parse(BenchSpec, [*TINY, *arguments])


@pytest.mark.slow
def test_three_contenders_side_by_side():
    table = speed.measure_speed(tiny("--subset_ratios=0.5,0.8", "--epochs=1"))
    rows = [line for line in table.splitlines() if re.match(r"\| (0\.\d|all) \|", line)]
    assert len(rows) == 3
    for row in rows:
        assert len(row.strip("|").split("|")) == 8
        assert re.search(r"\d+(\.\d+)? \(\d+(\.\d+)?.* to \d", row), "ratios come with their spread"
    assert "2 rounds" in table
    assert "GFLOP/s" in table


@pytest.mark.slow
def test_whole_jobs_are_measured_with_their_memory(monkeypatch):
    monkeypatch.setattr(scaling, "SCALING_RUNS", (2,))
    monkeypatch.setattr(scaling, "MEMORY_RUNS", (3,))
    table = scaling.measure_scaling(tiny("--subset_ratios=0.5,0.8", "--measure=scaling"))
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[4:]]
    assert [row[:3] for row in rows] == [["2", "2", "4"], ["1", "3", "3"]]
    assert all(50 < float(row[5]) < 20_000 for row in rows)


def test_a_job_that_fails_ends_the_benchmark_with_its_message():
    with pytest.raises(Exception, match="--num_examples=9999"):
        scaling.run_job(spec_from_values(CscoreSpec, {"num_examples": 9999}), (0.5,), 1)


@pytest.mark.slow
@pytest.mark.parametrize("fresh_jit", [True, False])
def test_the_sequential_trainer_learns(fresh_jit):
    spec = spec_from_values(CscoreSpec, {"num_examples": 400, "epochs": 5})
    trainer = speed.make_sequential(load_dataset(spec.data), spec, fresh_jit=fresh_jit)
    accuracy = speed.train_on_subset(trainer, 0.5, seed=0)
    assert accuracy > 0.6
    assert accuracy == speed.train_on_subset(trainer, 0.5, seed=0)


@pytest.mark.slow
def test_the_sequential_trainer_normalizes_once():
    spec = spec_from_values(CscoreSpec, {"num_examples": 40, "normalize_channels": True})
    dataset = load_dataset(spec.data)
    [mean], [deviation] = dataset.channel_moments
    by_hand = (dataset.images * dataset.scale - mean) / deviation
    stored = dataclasses.replace(dataset, images=by_hand.astype(np.float32), scale=1.0, channel_moments=None)
    found = []
    for data in (dataset, stored):
        trainer = speed.make_sequential(data, spec, fresh_jit=False)
        step_index = StepIndex(np.int32(0), np.int32(0), np.int32(1))
        state = trainer.init(jax.random.key(0), {})
        state = trainer.update(jax.random.key(0), {}, state, *trainer.train, step_index)
        trainer.measure = lambda logits, labels: logits
        found.append((state.variables, trainer.evaluate(state, *trainer.train)))
    for normalized, expected in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(normalized, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fresh_jit", [True, False])
def test_only_what_is_compiled_once_is_reused(fresh_jit):
    spec = spec_from_values(CscoreSpec, {"num_examples": 60, "epochs": 1})
    trainer = speed.make_sequential(load_dataset(spec.data), spec, fresh_jit=fresh_jit)
    first = trainer.functions_of_a_model()
    speed.train_on_subset(trainer, 0.5, seed=0)
    assert (first.update._cache_size() == 0) == fresh_jit
    assert (trainer.functions_of_a_model() is first) != fresh_jit


def test_the_sequential_sweep_trains_every_setting_and_stops_when_labels_are_fitted():
    spec = flags.parse(BenchSpec, ["--measure=label_noise", "--epochs=2", "--num_examples=300"])
    sweep = label_noise.SequentialSweep(label_noise.make_sweep(spec), fresh_jit=False)
    assert len(sweep.trainer.hparams) == len(sweep.program.settings) > 1
    accuracies = [sweep.train(number) for number in (0, len(sweep.program.settings) - 1)]
    assert all(0 < accuracy < 1 for accuracy in accuracies)


def test_a_mistake_is_found_before_any_worker_starts():
    for flag, said in (("--dataset=npz:nowhere.npz", "no such file"), ("--subset_ratios=0.01", "a subset needs 10")):
        with pytest.raises(UserError, match=said):
            speed.measure_speed(tiny(flag))


def test_operations_are_counted():
    spec = spec_from_values(CscoreSpec, {"num_examples": 320})
    trainer = speed.make_sequential(load_dataset(spec.data), spec, fresh_jit=False)
    weights = 64 * 128 + 128 * 64 + 64 * 10
    # Two products forward, four backward but for the inputs of the first layer; looking costs a forward pass.
    step = 2 * 16 * (3 * weights - 64 * 128)
    expected = step * 20 * 160 / 16 + 2 * weights * 320
    np.testing.assert_allclose(speed.count_flops(trainer, 0.5), expected, rtol=0.1)
    assert speed.matmul_rate(256, 2) > 1e8


def cells_of(table):
    """The rows of a Markdown table without its head, as lists of texts."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return rows[2:]


@pytest.mark.slow
def test_training_steps_of_every_contender_are_counted_in_images():
    flags_given = ["--model=mlp", "--subset_ratios=0.75", "--batch_size=8", "--image_shape=6,6,3", "--bench_images=64"]
    table = images.measure_images(tiny("--measure=images", *flags_given))
    rows = cells_of(table)
    assert [row[0].split(",")[0] for row in rows] == ["jaxgen", "JAX", "JAX"]
    rates = [float(row[1].split()[0]) for row in rows]
    assert min(rates) > 100
    for row, rate in zip(rows[1:], rates[1:], strict=True):
        low, high = map(float, re.search(r"\((\S+) to (\S+)\)", row[2]).groups())
        assert 0.2 * low <= rates[0] / rate <= 5 * high
    assert "mlp on 6x6x3, batch 8" in table


@pytest.mark.slow
def test_seconds_a_model_for_more_and_more_members(monkeypatch, tmp_path):
    monkeypatch.setattr(width, "MEMBERS", (1, 4, 16, 1024))
    given = tiny("--measure=members", "--subset_ratios=0.5", "--num_runs=16", f"--out={tmp_path}")
    rows = cells_of(width.measure_members(given))
    assert [row[:2] for row in rows] == [["1", "1"], ["4", "2"], ["16", "8"]]
    assert all(float(row[2].split()[0]) > 0 for row in rows)
    assert (tmp_path / "members.png").stat().st_size > 1000


@pytest.mark.slow
def test_precisions_side_by_side():
    table = precision.measure_precision(tiny("--measure=precision", "--subset_ratios=0.8"))
    rows = cells_of(table)
    assert [row[1] for row in rows] == ["float32", "bf16"]
    assert rows[0][3] == "1 (1 to 1)"
    assert all(re.fullmatch(r"0\.\d{4} ± 0\.\d{4} \(\d+\)", row[4]) for row in rows)


def test_every_measure_of_the_flag_is_there():
    [values] = [field.type for field in dataclasses.fields(BenchSpec) if field.name == "measure"]
    assert set(MEASURES) == set(typing.get_args(values))


def test_refused_flags_need_no_jax():
    code = "import sys; from jaxgen import bench; print(bench.main(sys.argv[1:]), 'jax' in sys.modules)"
    for arguments in (["--help"], ["--rounds=0"], ["--measure=speed", "--dropout=0,0.5"]):
        command = [sys.executable, "-c", code, *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert answer[-2:] == ["0" if arguments == ["--help"] else "2", "False"]


def double(factor):
    """A contender of this module, so that a worker can import it."""
    if factor < 0:
        raise UserError("no negative factors")
    return interleaved.Prepared(lambda task: os._exit(1) if task == "die" else factor * task, facts="ready")


def test_contenders_take_turns_in_processes_of_their_own():
    with interleaved.InterleavedBenchmark({"a": double, "b": double}, 3) as benchmark:
        assert benchmark.facts == {"a": "ready", "b": "ready"}
        turns = benchmark.run_rounds([1, 2])
        assert {name: [turn.result for turn in turns[name]] for name in turns} == {"a": [3, 6], "b": [3, 6]}
        assert all(turn.seconds >= 0 and turn.peak_bytes > 1e6 for turn in turns["a"])
        with pytest.raises(UserError, match=r"a worker of the benchmark \(b\) stopped"):
            benchmark.run_turn("b", "die")
    with pytest.raises(UserError, match="no negative factors"):
        interleaved.run_alone("a", double, -1, 1)


def test_a_list_is_refused(capsys):
    assert bench.main(["--measure=members", "--subset_ratios=0.5", "--dropout=0,0.5"]) == 2
    assert "--dropout: a benchmark takes one value of each flag" in capsys.readouterr().err


def test_a_pilot_is_refused(capsys):
    assert bench.main(["--pilot"]) == 2
    assert capsys.readouterr().err == "jaxgen.bench: --pilot: a benchmark trains what its flags say; leave it out\n"


@pytest.mark.slow
def test_a_workers_refusal_is_one_line():
    with pytest.raises(UserError, match="--precision=tf32: is a format of GPUs"):
        speed.measure_speed(tiny("--subset_ratios=0.5", "--precision=tf32"))


def test_pytorch_stands_beside_the_same_work_only():
    can = lambda *arguments: images.torch_can(tiny("--model=convnet", *arguments).job)  # noqa: E731
    assert can()
    assert can("--learning_rate=0.01", "--momentum=0.5", "--batch_size=64")
    for other in ("--norm=batch", "--optimizer=adam", "--weight_decay=0.1", "--flip=0.5", "--precision=bf16"):
        assert not can(other)
    assert not images.torch_can(tiny("--model=mlp").job)


@pytest.mark.parametrize("measure", [images.measure_images, width.measure_members])
def test_these_take_one_ratio(measure):
    with pytest.raises(UserError, match="give one ratio"):
        measure(tiny("--subset_ratios=0.5,0.8"))


def test_corruptions_are_timed_beside_the_library(monkeypatch):
    class FakeBenchmark(interleaved.InterleavedBenchmark):
        """Answers as the contenders' processes would, the library failing at fog."""

        def __init__(self, contenders, spec):
            self.connections, self.processes = dict.fromkeys(contenders), []

        def __exit__(self, *exception):
            pass

        def run_turn(self, contender, name):
            if contender == "jaxgen":
                return interleaved.Turn(0.5, seconds=1.0)
            return interleaved.Turn("KeyError: no mist" if name == "fog" else 10.0, seconds=1.0)

    monkeypatch.setattr(corruptions, "has_library", lambda: True)
    monkeypatch.setattr(corruptions, "InterleavedBenchmark", FakeBenchmark)
    rows = cells_of(corruptions.measure_corruptions(tiny("--measure=corruptions", "--bench_images=20")))
    assert len(rows) == 17
    assert rows[0] == ["gaussian_noise", "0.5", "10", "20 (20 to 20)"]
    assert [row[2] for row in rows if row[0] == "fog"] == ["KeyError: no mist"]
    assert rows[-2] == ["the 14 that imagecorruptions can do", "7", "140", "20 (20 to 20)"]
    assert rows[-1][:2] == ["all 15", "7.5"]


def test_the_contenders_corrupt_by_name():
    spec = tiny("--measure=corruptions", "--bench_images=3", "--image_shape=9,9,1")
    assert corruptions.engine_contender(spec).run("contrast") > 0
    assert "Error" in str(corruptions.library_contender(spec).run("no such corruption"))
    with pytest.raises(UserError, match="at least 4 pixels a side"):
        corruptions.measure_corruptions(tiny("--measure=corruptions", "--image_shape=3,4,3"))


@pytest.mark.slow
def test_oversampling_by_three_contenders():
    given = ["--num_runs=2", "--epochs=10", "--learning_rate=0.1", "--width=2"]
    spec = flags.parse(BenchSpec, ["--measure=oversampling", "--rounds=1", *given])
    table = oversampling.measure_oversampling(spec)
    rows = cells_of(table)
    assert [row[0] for row in rows] == ["fresh `jit` a model", "compiled once", "jaxgen"]
    assert rows[2][2] == "1 (1 to 1)"
    # Seven sizes and two arms, and of those two runs.
    assert [int(re.search(r"\((\d+)\)", row[3])[1]) for row in rows] == [14, 14, 28]
    # Learning as far as it can in so few steps: all three train the same.
    assert all(0.2 < float(row[3].split()[0]) < 0.9 for row in rows)
    assert "28 models, one program" in table


@pytest.mark.slow
def test_the_loop_over_classifiers_trains_the_same_ones_as_their_table(tmp_path):
    methods = ("mixup", "plain", "undersampling", "crt", "mislas", "lnr", "random_flips")
    given = {"num_runs": 2, "methods": methods, "threshold": (1.0,), "head_epochs": 2, "out": str(tmp_path)}
    spec = spec_from_values(LnrSpec, given)
    job = lnr_job.make_job(hold_out_test(load_dataset(spec.data), 0.2, 0), spec)
    rng, models = np.random.default_rng(0), 2 * len(job.kinds)
    draw = lambda *shape: rng.normal(size=(models, *shape)).astype(np.float32)  # noqa: E731
    parts = [draw(len(each), 6) for each in (job.tail.dataset.labels, job.tail.labels, job.tail.dataset.test_labels)]
    kernels, biases = draw(6, 10), draw(10)
    likely = np.asarray(jax.nn.softmax(parts[0] @ kernels + biases[:, None]))
    found = Stage1Outputs(*parts, kernels, biases, finite=np.ones(models, bool), probabilities=likely)
    dataset, [program] = make_stage2(job, found)
    numbers = np.arange(num_heads(job, program))
    ensemble = Ensemble(make_ensemble_config(dataset, program, make_kernels(program)), dataset, jax.devices()[:1])
    together = ensemble.train(make_rows(program, numbers), len(numbers), len(dataset.labels), 1000)
    loop = heads.MemberTrainer(dataset, program)
    assert len(numbers) == 12
    for number in numbers[1::2]:
        alone = loop.train(jax.tree.map(lambda field: field[0], make_rows(program, [number])))
        np.testing.assert_allclose(alone.measures["params"], together.measures["params"][number], atol=1e-5)
        np.testing.assert_allclose(alone.loss_curve, together.loss_curve[number], rtol=1e-4)


@pytest.mark.slow
def test_classifiers_of_stage_2_by_three_contenders():
    given = ["--num_runs=2", "--epochs=10", "--width=2"]
    table = heads.measure_heads(flags.parse(BenchSpec, ["--measure=heads", "--rounds=1", *given]))
    rows = cells_of(table)
    assert [row[0] for row in rows] == ["fresh `jit` a classifier", "compiled once", "jaxgen, all methods"]
    assert rows[2][2] == "1 (1 to 1)"
    # Eight methods without flips, and ten thresholds of two with them, of two runs each.
    assert [int(re.search(r"\((\d+)\)", row[3])[1]) for row in rows] == [2, 10, 56]
    assert all(0.5 < float(row[3].split()[0]) < 1 for row in rows)


def test_the_strongest_influences_by_both_methods():
    spec = tiny("--measure=influence", "--influence_shape=50,400,200", "--rounds=1")
    rows = cells_of(influence.measure_influence(spec))
    assert [row[:2] for row in rows] == [["40 x 20", "jaxgen"], ["40 x 20", "dense"], ["400 x 200", "jaxgen"]]
    assert rows[0][5] == rows[1][5], "both find the same"
    assert 0 < float(rows[0][5]) < 1
    assert all(20 < float(row[3]) < 20_000 for row in rows)


@pytest.mark.slow
def test_a_store_of_many_chunks():
    spec = tiny("--measure=store", "--num_runs=120", "--subset_ratios=0.5", "--rounds=1")
    rows = cells_of(store.measure_store(spec))
    assert [row[0] for row in rows] == ["24", "120"]
    assert all(float(row[2]) > 0 for row in rows)
    assert all(100 < float(row[4]) < 20_000 for row in rows)
