"""The command line as a user types it: what it writes, what it survives, and what it refuses."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from jaxgen import load_scores
from support.commands import Command, type_in
from support.cscore_jobs import LONG, SMALL, scores_equal, scores_of
from support.data import blobs, make_data

RESULTS = ("cscores.npz", "examples.png", "examples.pdf", "histogram.png", "flags.cfg")


def command(*arguments):
    return [sys.executable, "-m", "jaxgen.cscore", *arguments]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An undisturbed small job."""
    folder = make_data(tmp_path_factory.mktemp("finished"))
    result = type_in(folder, *SMALL)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_a_job_writes_all_its_files_and_says_so(finished):
    folder, result = finished
    for name in RESULTS:
        assert (folder / "out" / name).stat().st_size > 100
        assert f"out/{name}" in result.stdout
    with Image.open(folder / "out" / "examples.png") as picture:
        assert picture.width > 500
    for words in ("30 models trained", "held-out accuracy", "0.9 ", "least regular", "split-half reliability"):
        assert words in result.stdout
    assert "Traceback" not in result.stderr


def test_the_score_file_opens_without_pickle_and_has_what_is_promised(finished):
    with np.load(finished[0] / "out" / "cscores.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert arrays["scores"].dtype == np.float64
    assert arrays["labels"].dtype == np.int64
    assert arrays["counts"].shape == arrays["scores_by_ratio"].shape == (3, 60)
    assert arrays["subset_ratios"].tolist() == [0.3, 0.5, 0.9]
    assert arrays["num_runs"] == 10
    assert arrays["class_names"].tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(arrays["counts"].sum(1), [60 * 7, 60 * 5, 60 * 1])
    np.testing.assert_allclose(arrays["scores"], arrays["scores_by_ratio"].mean(0))
    assert 0.4 < arrays["scores"].mean() <= 1


def test_the_same_command_again_trains_nothing(finished):
    folder, _ = finished
    before = load_scores(folder / "out" / "cscores.npz")
    again = type_in(folder, *SMALL)
    assert again.returncode == 0
    assert again.stdout.startswith("0 models trained")
    scores_equal(before, load_scores(folder / "out" / "cscores.npz"))


@pytest.mark.slow
def test_flags_cfg_holds_the_width_that_was_found(tmp_path):
    automatic = [flag for flag in SMALL if "width" not in flag]
    assert type_in(make_data(tmp_path), *automatic).returncode == 0
    width = load_scores(tmp_path / "out" / "cscores.npz").metadata["width"]
    assert f"--width={width}\n" in (tmp_path / "out" / "flags.cfg").read_text()


def test_flags_cfg_reproduces_the_job(finished, tmp_path):
    folder, _ = finished
    flagfile = folder / "out" / "flags.cfg"
    result = type_in(make_data(tmp_path), f"--flagfile={flagfile}", "--out=elsewhere")
    assert result.returncode == 0, result.stderr
    scores_equal(load_scores(folder / "out" / "cscores.npz"), load_scores(tmp_path / "elsewhere" / "cscores.npz"))


@pytest.mark.slow
def test_other_widths_and_devices_give_the_same_subsets(finished, tmp_path):
    folder, _ = finished
    result = type_in(make_data(tmp_path), *SMALL, "--width=5", "--num_devices=1")
    assert result.returncode == 0, result.stderr
    first, second = load_scores(folder / "out" / "cscores.npz"), load_scores(tmp_path / "out" / "cscores.npz")
    np.testing.assert_array_equal(first.counts, second.counts)
    assert np.abs(first.scores - second.scores).mean() < 0.01


@pytest.mark.slow
def test_more_runs_extend_the_store(finished, tmp_path):
    folder, _ = finished
    make_data(tmp_path)
    first = type_in(tmp_path, *SMALL, "--num_runs=4")
    assert first.returncode == 0, first.stderr
    second = type_in(tmp_path, *SMALL)
    assert re.search(r"\n\d+ of \d+ models are kept from earlier calls; 18 to train\n", second.stderr)
    assert second.stdout.startswith("18 models trained")
    scores_equal(load_scores(folder / "out" / "cscores.npz"), load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_more_ratios_extend_the_store_too(finished, tmp_path):
    folder, _ = finished
    make_data(tmp_path)
    assert type_in(tmp_path, *SMALL, "--subset_ratios=0.5").returncode == 0
    second = type_in(tmp_path, *SMALL)
    assert second.stdout.startswith("20 models trained")
    scores_equal(load_scores(folder / "out" / "cscores.npz"), load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The long job, left alone."""
    return scores_of(tmp_path_factory.mktemp("undisturbed"), *LONG)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        signal.SIGINT,
    ],
)
def test_a_stopped_job_resumes_and_ends_as_if_undisturbed(undisturbed, tmp_path, number):
    make_data(tmp_path)
    process = Command(tmp_path, *LONG)
    chunks = lambda: len(list(tmp_path.glob("out/store/*/*/*.npz")))  # noqa: E731
    deadline = time.time() + 100
    while process.running() and time.time() < deadline and chunks() < 2:
        time.sleep(0.01)
    process.signal(number)
    stopped = process.result()
    assert 2 <= chunks() < 9, "the job was not met half-way"
    if number == signal.SIGKILL:
        assert stopped.returncode == -number
    else:
        assert stopped.returncode == 130
        assert re.search(r"\d+ of 30 models are done and kept.*\. To go on: python -m jaxgen\.cscore", stopped.stderr)
    resumed = type_in(tmp_path, *LONG)
    assert resumed.returncode == 0, resumed.stderr
    assert not resumed.stdout.startswith(("30 models", "0 models"))
    scores_equal(undisturbed, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_a_damaged_chunk_is_named_set_aside_and_trained_again(finished, tmp_path):
    folder, _ = finished
    make_data(tmp_path)
    assert type_in(tmp_path, *SMALL).returncode == 0
    victim = sorted(tmp_path.glob("out/store/*/ratio_0.5/*.npz"))[1]
    victim.write_bytes(victim.read_bytes()[:-40])
    again = type_in(tmp_path, *SMALL)
    assert again.returncode == 0
    assert f"{victim.name}.damaged: damaged" in again.stderr
    assert again.stdout.startswith("4 models trained")
    scores_equal(load_scores(folder / "out" / "cscores.npz"), load_scores(tmp_path / "out" / "cscores.npz"))


def test_the_installed_command_and_help_answer_quickly():
    began = time.perf_counter()
    result = subprocess.run([*command(), "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "--subset_ratios=" in result.stdout
    assert time.perf_counter() - began < 20
    assert "--flagfile=FILE" in result.stdout
    cut = subprocess.run(
        f"{shlex.join([*command(), '--help'])} | head -2", shell=True, capture_output=True, text=True, timeout=60
    )
    assert cut.stderr == ""
    script = pathlib.Path(sys.executable).parent / "jaxgen-cscore"
    if script.exists():
        version = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
        assert version.stdout.startswith("jaxgen ")


def prepare_bad_input(folder):
    """Files that are wrong, each in its own way."""
    images, labels = blobs(60)
    np.savez(folder / "no_labels.npz", images=images)
    np.savez(folder / "twins.npz", images=images, labels=labels, ids=[7, 7, *range(10, 68)])
    (folder / "text.npz").write_text("a,b\n1,2\n")
    np.savez(folder / "objects.npz", images=images, labels=np.array([object()] * 60))
    np.savez(folder / "nan.npz", images=np.where(images > 200, np.nan, images), labels=labels)
    np.savez(folder / "lengths.npz", images=images, labels=labels[:-1])
    np.savez(folder / "one_class.npz", images=images, labels=labels * 0)
    (folder / "truncated").mkdir()
    (folder / "wrong_magic").mkdir()
    (folder / "truncated" / "train-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2])
    )
    (folder / "wrong_magic" / "train-images-idx3-ubyte").write_bytes(b"GIF89a" + bytes(40))
    for name in ("truncated", "wrong_magic"):
        for other in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (folder / name / f"{other}-ubyte").write_bytes(b"")
    (folder / "a_file").write_text("")
    (folder / "stray.cfg").write_text("--num_runs=3\nnum_runs=4\n")
    make_data(folder)
    np.savez(folder / "rows.npz", x=np.random.default_rng(0).normal(size=(60, 5)), y=np.arange(60) % 3)


# (arguments, what the one line must say)
BAD_INPUT = [
    (["--dataset=nonsense"], "--dataset=nonsense"),
    (["--dataset=zip:x"], "--dataset=zip:x: unknown"),
    (["--dataset=idx:nowhere"], "no such folder"),
    (["--dataset=npz:nowhere.npz"], "no such file"),
    (["--dataset=images:nowhere"], "no such folder"),
    (["--dataset=csv:nowhere.csv"], "no such file"),
    (["--dataset=idx:truncated"], "fewer bytes"),
    (["--dataset=idx:wrong_magic"], "starts with 47494638"),
    (["--dataset=npz:no_labels.npz"], "has no array labels or y"),
    (["--dataset=npz:objects.npz"], "Python objects"),
    (["--dataset=npz:nan.npz"], "not finite"),
    (["--dataset=npz:lengths.npz"], "one label an example"),
    (["--dataset=npz:one_class.npz"], "two classes or more"),
    (["--dataset=npz:mine.npz", "--subset_ratios=0.02"], "--subset_ratios=0.02: is 1 of 60 examples"),
    (["--dataset=npz:mine.npz", "--subset_ratios=0.04"], "a subset needs 3 or more"),
    (["--subset_ratios=0"], "strictly between 0 and 1"),
    (["--subset_ratios=1"], "strictly between 0 and 1"),
    (["--subset_ratios=1.2"], "strictly between 0 and 1"),
    (["--subset_ratios=0.9:0.1"], "--subset_ratios=0.9:0.1: the range is empty"),
    (["--subset_ratios=abc"], "--subset_ratios=abc"),
    (["--subset_ratios=0.5,0.5"], "none may come twice"),
    (["--num_runs=0"], "--num_runs=0: must be 1 or more"),
    (["--num_runs=ten"], "--num_runs=ten"),
    (["--num_examples=9999"], "has 1797 training examples"),
    (["--hidden=0"], "--hidden=0"),
    (["--hidden=8,-1"], "--hidden=8,-1"),
    (["--model=transformer"], "--model=transformer: unknown; known: alexnet_small, convnet"),
    (["--design=random"], "balanced, independent, nested"),
    (["--epochs=0"], "--epochs=0"),
    (["--batch_size=0"], "--batch_size=0"),
    (["--learning_rate=0"], "--learning_rate=0"),
    (["--learning_rate=nan"], "finite"),
    (["--momentum=1"], "--momentum=1"),
    (["--weight_decay=-1"], "--weight_decay=-1"),
    (["--width=0"], "--width=0"),
    (["--width=many"], "--width=many"),
    (["--num_devices=-1"], "--num_devices=-1"),
    (["--num_devices=999"], "--num_devices=999: this process has"),
    (["--dataset=npz:mine.npz", "--label_column=kind"], "--label_column=kind: goes with csv:PATH"),
    (
        ["--image_size=8"],
        "--image_size=8: goes with images:PATH or csv:PATH or parquet:PATH or hf:PATH, not with --dataset=digits",
    ),
    (["--dataset=mnist", "--image_size=8"], "--image_size=8: mnist has one size"),
    (["--dataset=npz:mine.npz", "--data_dir=x"], "--data_dir=x: goes with names of data sets"),
    (["--dataset=npz:twins.npz"], "2 examples have the id 7; ids must differ"),
    (["--dataset=npz:text.npz"], "is not an .npz file, or the end of it is missing; write one with"),
    (["--out=a_file"], "--out=a_file: cannot be written"),
    (["--out=/proc/nowhere"], "cannot be written"),
    (["--unheard_of=1"], "unheard_of"),
    (["--num_rns=1"], "Did you mean"),
    (["num_runs=5"], "'num_runs=5': not a flag"),
    (["--flagfile=stray.cfg"], "'num_runs=4': not a flag"),
    (["--flagfile=nowhere.cfg"], "nowhere.cfg"),
    (["--dataset=mnist", "--data_dir=empty"], "--data_dir"),
    (["--optimizer=lion"], "--optimizer=lion: must be one of sgd, nesterov, adam, adamw, rmsprop"),
    (["--schedule=zigzag"], "--schedule=zigzag: must be one of constant, step"),
    (["--schedule=step"], "step needs --milestones"),
    (["--norm=layer"], "--norm=layer: must be one of auto, batch, group, none"),
    (["--norm=batch"], "--norm=batch"),
    (["--dropout=1"], "--dropout=1: must be at least 0 and below 1"),
    (["--dropout=0,1"], "--dropout=0,1: 1 must be at least 0 and below 1"),
    (["--dropout=0:0.5"], "give a range as start:stop:step"),
    (["--weight_decay="], "--weight_decay="),
    (["--weight_decay=0,-1e-4"], "must be 0 or more"),
    (["--learning_rate=0.1,0.1"], "comes more than once"),
    (
        ["--learning_rate=0.001:0.1:0.001", "--momentum=0:0.9:0.1"],
        "1,800,000 members, more than 10,000; give fewer val",
    ),
    (["--sharpness=1"], "sharpness"),
    (["--patience=2"], "--patience=2: needs a --validation_share above 0"),
    (["--patience=2", "--validation_share=0.001"], "is none of the"),
    (["--precision=tf32"], "--precision=tf32: is a format of GPUs"),
    (["--dataset=npz:mine.npz", "--model=resnet9"], "--model=resnet9"),
    (["--dataset=npz:rows.npz", "--model=convnet"], "--model=convnet"),
    (["--dataset=npz:rows.npz", "--flip=0.5"], "--flip=0.5: is for images"),
    (["--dataset=npz:rows.npz", "--crop=0,2"], "--crop=2: is for images"),
]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What all wrong commands returned and said, and the files they left."""
    folder = tmp_path_factory.mktemp("bad")
    prepare_bad_input(folder)
    before = set(folder.rglob("*"))
    results = [type_in(folder, *arguments, log_compiles=True) for arguments, _ in BAD_INPUT]
    return results, set(folder.rglob("*")) - before


@pytest.mark.parametrize("case", range(len(BAD_INPUT)), ids=[" ".join(arguments) for arguments, _ in BAD_INPUT])
def test_a_mistake_is_one_line_and_exit_code_2_before_any_compile(refusals, case):
    result = refusals[0][case]
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, "one line, no traceback, nothing compiled: that would be said too"
    assert lines[0].startswith("jaxgen.cscore: ")
    assert BAD_INPUT[case][1] in lines[0]
    assert result.stdout == ""


def test_refused_commands_leave_nothing_behind(refusals):
    assert not [path for path in refusals[1] if path.is_file()]


def test_a_store_made_by_other_flags_is_refused(finished):
    folder, _ = finished
    for flag, said in (
        ("--learning_rate=0.2", "--learning_rate is 0.1 there and 0.2 here"),
        ("--seed=1", "--seed is 0 there and 1 here"),
        ("--hidden=9", "--hidden is 8 there and 9 here"),
        ("--num_examples=50", "the data is mine"),
        ("--width=3", "--width=3: the runs kept here were trained at width 2"),
    ):
        result = type_in(folder, *SMALL, flag)
        assert result.returncode == 2
        assert said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_divergence_ends_in_a_clear_message_and_not_in_scores(tmp_path):
    result = type_in(make_data(tmp_path), *SMALL, "--learning_rate=1e6")
    assert result.returncode == 2
    assert "diverged" in result.stderr.splitlines()[-1]
    assert "--learning_rate" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "cscores.npz").exists()
    # The remedy named works with the same command otherwise.
    mended = type_in(tmp_path, *SMALL)
    assert mended.returncode == 0, mended.stderr


@pytest.mark.slow
def test_unlucky_first_runs_do_not_end_a_job(tmp_path):
    """At this rate some runs diverge and others do not; which ones come first, or in this process, must not matter."""
    wild = [*SMALL, "--learning_rate=17", "--subset_ratios=0.5", "--width=1", "--num_devices=1"]
    whole = type_in(make_data(tmp_path), *wild, "--num_runs=10", "--out=whole")
    assert whole.returncode == 0, whole.stderr
    kept = load_scores(tmp_path / "whole" / "cscores.npz")
    unlucky = np.flatnonzero(np.isnan(kept.heldout_accuracy[0]))
    assert 1 <= len(unlucky) < 10
    assert f"{len(unlucky)} models diverged" in whole.stdout
    # A process that starts with a diverging run.
    if unlucky[0]:
        assert type_in(tmp_path, *wild, f"--num_runs={unlucky[0]}", "--out=parts").returncode == 0
    assert type_in(tmp_path, *wild, "--num_runs=10", "--out=parts").returncode == 0
    scores_equal(kept, load_scores(tmp_path / "parts" / "cscores.npz"))


@pytest.mark.slow
def test_results_that_cannot_be_written_are_one_line(tmp_path):
    (make_data(tmp_path) / "out" / "cscores.npz").mkdir(parents=True)
    result = type_in(tmp_path, *SMALL)
    assert result.returncode == 2
    assert "results cannot be written" in result.stderr.splitlines()[-1]
    (tmp_path / "out" / "cscores.npz").rmdir()
    again = type_in(tmp_path, *SMALL)
    assert again.returncode == 0
    assert again.stdout.startswith("0 models trained")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    result = type_in(tmp_path, "--out=out")
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
