"""Published files in every layout, made here; how they are matched with ours; and what is said of their agreement."""

import pathlib
import pickle
import re

import jax
import numpy as np
import pytest
from scipy import stats

from jaxgen import compare
from jaxgen.data.image_sets import tfds_order
from jaxgen.data.published import margin_files, run_files
from jaxgen.data.published.pairs import MOST_PAIRS, pair_ids, split_ids
from jaxgen.data.published.scores import Values, read_published
from jaxgen.data.score_files import write_scores
from jaxgen.errors import UserError
from jaxgen.experiments.compare import run as experiment
from jaxgen.experiments.compare.matching import match
from jaxgen.experiments.compare.recompute import open_runs, recompute
from jaxgen.reporting.tables import to_table
from jaxgen.scores import agreement, influence
from jaxgen.types import Scores
from support.data import blobs
from support.influence import by_definition, toy

N, T = 60, 24
RNG = np.random.default_rng(0)
LABELS = blobs(N)[1].astype(np.int64)
SCORES = RNG.random(N)
MEMORIZATION = RNG.random(N)
ORDER = tfds_order("train", N)
TRAIN, TEST, INFLUENCE = np.array([3, 7, 7, 20, 59]), np.array([0, 5, 6, 5, 23]), np.array([0.5, 0.4, 0.3, 0.25, 0.2])


def own(path, order=None, **changes):
    """A cscores.npz; its examples in another order than the original."""
    order = np.arange(N) if order is None else order
    values = {
        "scores": SCORES[order],
        "labels": LABELS[order],
        "ids": order,
        "stderr": np.full(N, 0.1),
        "counts": np.full((1, N), 5),
        "scores_by_ratio": SCORES[order][None],
        "subset_ratios": np.array([0.7]),
        "num_runs": 10,
        "class_names": np.array(["a", "b", "c"]),
        "heldout_accuracy": np.full((1, 10), 0.5),
        "reliability": np.array([0.9]),
        "metadata": {},
        "more": {
            "memorization": MEMORIZATION[order],
            "influence_train": np.argsort(order)[TRAIN].astype(np.int32),
            "influence_test": TEST.astype(np.int32),
            "influence": INFLUENCE.astype(np.float32),
            "test_labels": np.zeros(T, np.int64),
        },
    }
    write_scores(Scores(**{**values, **changes}), path)


@pytest.fixture(autouse=True)
def _quick(request, monkeypatch):
    """Figures are drawn everywhere, and written where a test looks at them."""
    if "drawn" not in request.node.name:
        monkeypatch.setattr("jaxgen.reporting.report.write_figure", lambda figure, path: path.write_bytes(b" " * 200))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """One file of each layout, all of the same scores."""
    monkeypatch.chdir(tmp_path)
    own("cscores.npz")
    np.savez("cifar10-cscores-orig-order.npz", labels=LABELS, scores=SCORES)
    np.save("mnist-cscores.npy", SCORES[ORDER])
    np.save("bare.npy", SCORES)
    names = np.array([f"n{i:04d}.JPEG".encode() for i in range(N)], object)
    np.savez("imagenet-cscores-with-filename.npz", labels=LABELS, scores=SCORES, filenames=names)
    classes = {}
    for k in range(3):
        train, test = np.flatnonzero(k == LABELS), np.flatnonzero(np.arange(T) % 3 == k)
        matrix = 0.001 * test[:, None] + 0.01 * train[None]
        classes |= {f"tr_classidx_{k}": train, f"tt_classidx_{k}": test, f"infl_matrix_class{k}": matrix}
    np.savez("cifar100_infl_matrix.npz", tr_labels=LABELS, tt_labels=np.arange(T) % 3, tr_mem=MEMORIZATION, **classes)
    name = "cifar100_high_infl_pairs_infl0.15_mem0.25.npz"
    np.savez(name, tr_idx=TRAIN, tt_idx=TEST, infl=INFLUENCE, mem=MEMORIZATION[TRAIN])
    dense = np.zeros((T, N), np.float32)
    dense[TEST, TRAIN] = INFLUENCE
    np.savez("infl_mem.npz", memorization=MEMORIZATION, influence=dense)
    rows = "\n".join(f"{i},{LABELS[i]},{SCORES[i]!r}".replace("np.float64(", "").rstrip(")") for i in range(N))
    pathlib.Path("scores.csv").write_text(f"id,label,mine\n{rows}\n", encoding="utf-8")
    return tmp_path


def run(capsys, *arguments, code=0):
    """What the command says; of a refusal its one line."""
    assert compare.main([*arguments, "--num_draws=20", "--out=out"]) == code
    said = capsys.readouterr()
    if code:
        [line] = said.err.strip().splitlines()
        return line
    return said.out


ALLOW = "--allow_pickle=imagenet-cscores-with-filename.npz"


@pytest.mark.parametrize(
    ("arguments", "matched"),
    [
        (["cscores.npz", "cifar10-cscores-orig-order.npz"], "matched by ids (ids; positions in the original files)"),
        (["cscores.npz", "mnist-cscores.npy"], "matched by ids"),
        (["cscores.npz", "bare.npy"], "matched by order"),
        (["cscores.npz", "imagenet-cscores-with-filename.npz", ALLOW], "matched by order"),
        (["cscores.npz", "scores.csv:mine"], "matched by ids"),
        (["bare.npy", "scores.csv:mine"], "matched by order"),
        (["cscores.npz", "cifar100_infl_matrix.npz", "--score=memorization"], "matched by ids"),
        (["cscores.npz", "infl_mem.npz", "--score=memorization"], "matched by order"),
        (["cscores.npz", "cifar100_high_infl_pairs_infl0.15_mem0.25.npz", "--score=memorization"], "4 of 60 and 4"),
        (["cscores.npz", "cifar100_high_infl_pairs_infl0.15_mem0.25.npz", "--score=influence"], "matched by pairs"),
        (["cscores.npz", "infl_mem.npz", "--score=influence", "--reorder=original"], "positions in the original files"),
        (
            [
                "infl_mem.npz",
                "cifar100_high_infl_pairs_infl0.15_mem0.25.npz",
                "--score=influence",
                "--reorder=original",
            ],
            "5 of 5 and 5",
        ),
    ],
)
def test_every_layout_is_read_and_matched(files, capsys, arguments, matched):
    said = run(capsys, *arguments)
    assert matched in said
    assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in said
    for name in ("table.md", "compare.png", "compare.pdf", "flags.cfg"):
        assert (files / "out" / name).stat().st_size > 100


@pytest.mark.parametrize("order", [ORDER, np.arange(N)[::-1]])
def test_files_of_other_orders_are_matched_by_their_ids(files, capsys, order):
    own("cscores.npz", order)
    said = run(capsys, "cscores.npz", "cifar10-cscores-orig-order.npz")
    assert "labels agree in all 60" in said
    assert "| Spearman | 1.0000" in said
    assert "| Spearman | 1.0000" in run(capsys, "mnist-cscores.npy", "cscores.npz")


def test_influence_pairs_of_tensorflow_datasets_are_those_of_the_original_files(files, capsys):
    tests = tfds_order("test", T)
    more = {
        "influence_train": np.argsort(ORDER)[TRAIN],
        "influence_test": np.argsort(tests)[TEST],
        "influence": INFLUENCE,
        "test_labels": np.zeros(T),
    }
    own("cscores.npz", ORDER, more=more)
    said = run(capsys, "cscores.npz", "cifar100_high_infl_pairs_infl0.15_mem0.25.npz", "--score=influence")
    assert "5 of 5 and 5" in said
    assert "| Pearson | 1.0000" in said
    assert "No rank differs." in said


def write_demo():
    """A matrix in tensorflow-datasets order; values tell the original training and test place."""
    test_order = tfds_order("test", T)
    values = (np.arange(N)[None, :] * 0.01 + np.arange(T)[:, None] * 0.001).astype(np.float32)
    np.savez("demo.npz", memorization=MEMORIZATION[ORDER], influence=values[np.ix_(test_order, ORDER)])


def test_the_demos_influences_are_those_of_the_original_pairs(files, capsys):
    write_demo()
    pairs = [
        read_published(pathlib.Path("cscores.npz"), "influence"),
        read_published(pathlib.Path("demo.npz"), "influence"),
    ]
    for sources in (pairs, pairs[::-1]):
        found = experiment.resolve(*sources, reorder="tfds")[sources.index(pairs[1])]
        train, test = split_ids(found.ids)
        assert len(train) == 5
        np.testing.assert_allclose(found.values, 0.01 * train + 0.001 * test, atol=1e-6)
    said = run(capsys, "cscores.npz", "demo.npz", "--score=influence", "--reorder=tfds")
    assert "brought from tensorflow-datasets order" in said
    line = run(capsys, "cscores.npz", "demo.npz", "--score=influence", code=2)
    assert "demo.npz: influence: does not tell the order of its examples" in line


def test_runs_in_tensorflow_datasets_order_give_the_original_pairs(files, capsys):
    trained_on, tests = toy(7, runs=30, train=N, test=T)
    matrix = by_definition(trained_on, tests)
    test_order = tfds_order("test", T)
    store(files / "runs", trained_on[:, ORDER], trained_on[:, ORDER], tests[:, test_order])
    np.savez("high.npz", tr_idx=TRAIN, tt_idx=TEST, infl=matrix[TEST, TRAIN], mem=MEMORIZATION[TRAIN])
    plain = run(capsys, "runs", "high.npz", "--score=influence")
    assert "whose order the file does not tell" in plain
    assert "| Pearson | 1.0000" not in plain
    for pair in (["runs", "high.npz"], ["high.npz", "runs"]):
        assert "| Pearson | 1.0000" in run(capsys, *pair, "--score=influence", "--reorder=tfds")
    runs = open_runs(files / "runs").in_original_order()
    ids, values = runs.all_pairs()
    train, test = split_ids(ids)
    np.testing.assert_allclose(values, matrix[test, train])


def part_of_tfds(first, tests, **more):
    """A cscores.npz of the first so many of a tensorflow-datasets set, all its tests' influences among its pairs."""
    order, test_order = ORDER[:first], tfds_order("test", T)[:tests]
    train, test = (each.ravel() for each in np.meshgrid(np.arange(first), np.arange(tests)))
    influence = (0.01 * order[train] + 0.001 * test_order[test]).astype(np.float32)
    arrays = {"influence_train": train, "influence_test": test, "influence": influence, **more}
    arrays["test_labels"] = np.zeros(tests)
    values = {name: array[:first] for name, array in (("scores", SCORES), ("labels", LABELS), ("stderr", SCORES))}
    flags = {"flags": {"num_test_examples": str(tests % T)}}
    counts, ratio = np.full((1, first), 5), SCORES[None, :first]
    own("part.npz", ids=order, counts=counts, scores_by_ratio=ratio, metadata=flags, more=arrays, **values)


@pytest.mark.parametrize(("first", "tests"), [(40, T), (N, 10), (40, 10)])
def test_pairs_of_a_part_of_a_data_set_are_told_by_test_ids_or_refused(files, capsys, first, tests):
    part_of_tfds(first, tests, test_ids=tfds_order("test", T)[:tests])
    found = read_published(pathlib.Path("part.npz"), "influence")
    train, test = split_ids(found.ids)
    np.testing.assert_allclose(found.values, 0.01 * train + 0.001 * test, atol=1e-6)
    part_of_tfds(first, tests)
    line = run(capsys, "part.npz", "cscores.npz", "--score=influence", code=2)
    assert "part.npz: holds a part or another order of a data set and no test_ids" in line


def test_names_that_repeat_are_told_apart_by_their_folders():
    def named(name, ids):
        return Values(name, np.arange(len(ids), dtype=float), None, np.array(ids), "file names")

    whole = named("whole", ["train/x/1", "train/x/2", "train/y/1", "train/y/2"])
    other = named("other", ["y/1", "y/2", "x/1", "x/2"])
    found = match(whole, other)
    assert found.values.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert match(other, whole).values.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    with pytest.raises(UserError, match="share file names such as 1 only, which whole has 2 times"):
        match(whole, named("bare", ["1", "2"]))


def test_reorder_brings_what_has_no_ids_into_the_original_order(files, capsys):
    np.save("shuffled.npy", SCORES[ORDER])
    assert "| Pearson | 1.0000" not in run(capsys, "shuffled.npy", "cscores.npz")
    for pair in (["shuffled.npy", "cscores.npz"], ["cscores.npz", "shuffled.npy"], ["shuffled.npy", "bare.npy"]):
        said = run(capsys, *pair, "--reorder=tfds")
        assert "shuffled.npy brought from tensorflow-datasets order" in said
        assert "| Pearson | 1.0000" in said


def test_the_matrix_of_classes_gives_the_pairs_asked_for(files):
    found = read_published(pathlib.Path("cifar100_infl_matrix.npz"), "influence")
    train = np.flatnonzero(LABELS == 1)[2]
    other = np.flatnonzero(LABELS == 0)[0]
    values = found.at(pair_ids(np.array([train, other, 9999]), np.array([4, 4, 4])))
    np.testing.assert_allclose(values, [0.004 + 0.01 * train, np.nan, np.nan])
    ids, every = found.all_pairs()
    assert len(ids) == len(every) == sum((k == LABELS).sum() * 8 for k in range(3))
    np.testing.assert_allclose(found.at(ids), every)


def test_a_huge_matrix_is_not_listed(files):
    found = read_published(pathlib.Path("infl_mem.npz"), "influence")
    huge = np.broadcast_to(np.float32(0), (MOST_PAIRS // 10, 11))
    block = found.blocks[0]._replace(values=huge)
    with pytest.raises(UserError, match="compare it with a file of few pairs"):
        found._replace(blocks=(block,)).all_pairs()


def test_images_on_which_they_disagree_are_drawn(files, capsys):
    images, labels = blobs(N)
    np.savez("data.npz", images=images, labels=labels)
    values = SCORES.copy()
    values[[4, 9]] = values[[9, 4]]
    np.save("other.npy", values)
    said = run(capsys, "cscores.npz", "other.npy", "--dataset=npz:data.npz", "--lowest=5,30")
    for name in ("compare.png", "compare.pdf", "disagreements.png"):
        assert (files / "out" / name).stat().st_size > 1000
    assert {"| 4 | ", "| 9 | "} <= {line[:6] for line in said.splitlines()}
    assert "| 5 | " in said
    assert "30 | 100.0% | 50.0%" in said or "30 | 96.7% | 50.0%" in said
    again = run(capsys, "--flagfile=out/flags.cfg")
    assert again.replace("out/", "") == said.replace("out/", "")
    wrong = np.where(np.arange(N) == 8, (labels + 1) % 3, labels)
    np.savez("data.npz", images=images, labels=wrong)
    line = run(capsys, "cscores.npz", "other.npy", "--dataset=npz:data.npz", code=2)
    assert "--dataset=data: example 8 has label" in line


def test_what_is_not_known_is_left_out_and_counted(files, capsys):
    own("cscores.npz", scores=np.where(np.arange(N) % 10 == 0, np.nan, SCORES))
    said = run(capsys, "cscores.npz", "bare.npy")
    assert "n = 54 examples" in said
    assert "6 without a value (NaN) in one of the two are left out" in said


MISTAKES = [
    (["cscores.npz"], "two files are needed"),
    (["cscores.npz", "bare.npy", "bare.npy"], "'bare.npy': not a flag"),
    (["cscores.npz", "nowhere.npz"], "nowhere.npz: there is no such file or folder"),
    (["cscores.npz", "short.npy"], "has 60 values, short.npy 59"),
    (["cscores.npz", "mislabelled-orig-order.npz"], "labels differ, first at id 11:"),
    (["cscores.npz", "unknown.npz"], "unknown.npz: is of no known layout; name one of its arrays by --score: a, b"),
    (["cscores.npz", "unknown.npz", "--score=scores,c"], "--score=c: unknown.npz has a, b"),
    (["cscores.npz", "unknown.npz", "--score=scores,b"], "unknown.npz: b: has shape (60, 2)"),
    (["cscores.npz", "bare.npy", "--score=magic"], "--score=magic: cscores.npz has"),
    (["cscores.npz", "bare.npy", "--lowest=60"], "--lowest=60: both files share 60 known values"),
    (["cscores.npz", "nothing.npy"], "share 0 known values (others are NaN)"),
    (["cscores.npz", "infinite.npy"], "infinite.npy: value 2 is infinite"),
    (["cscores.npz", "constant.npy"], "constant.npy: all 60 values are 0.5"),
    (["cscores.npz", "text.npz"], "text.npz: is no .npz, .npy or .csv file"),
    (["cscores.npz", "text.npy"], "text.npy: is no .npy file of numbers"),
    (["cscores.npz", "folder"], "folder: is a folder of no known layout"),
    (["cscores.npz", "scores.csv"], "say which column: scores.csv:COLUMN"),
    (["cscores.npz", "scores.csv:yours"], "scores.csv has the columns id, label, mine"),
    (["cscores.npz", "words.csv:a"], "line 3: 'x' is no number"),
    (["cscores.npz", "imagenet-cscores-with-filename.npz"], "--allow_pickle=imagenet-cscores-with-filename.npz"),
    (["cscores.npz", "evil.npz", "--allow_pickle=evil.npz"], "it would call"),
    (["cscores.npz", "cifar10-cscores-orig-order.npz", "--reorder=tfds"], "both say which example is which"),
    (["cscores.npz", "infl_mem.npz", "--score=scores,influence"], "infl_mem.npz: influence is of pairs"),
    (["cscores.npz", "cscores.npz", "--score=scores,influence"], "is of examples, cscores.npz: influence of pairs"),
    (["cscores.npz", "bare.npy", "--dataset=npz:nowhere.npz"], "--dataset=npz:nowhere.npz: there is no such file"),
    (["cscores.npz", "bare.npy", "--dataset=digits"], "--dataset=digits:"),
    (["cscores.npz", "twice.csv:a"], "2 values have the id 1; ids must differ"),
    (["cscores.npz", "far.csv:a"], "share no id"),
]


class Evil:
    def __reduce__(self):
        return (print, ("called",))


@pytest.fixture
def bad_files(files):
    np.save("short.npy", SCORES[1:])
    labels = LABELS.copy()
    labels[[11, 40]] += 1
    np.savez("mislabelled-orig-order.npz", labels=labels, scores=SCORES)
    np.savez("unknown.npz", a=SCORES, b=np.zeros((N, 2)))
    np.save("nothing.npy", np.full(N, np.nan))
    np.save("infinite.npy", np.where(np.arange(N) == 2, np.inf, SCORES))
    np.save("constant.npy", np.full(N, 0.5))
    for name in ("text.npz", "text.npy"):
        pathlib.Path(name).write_text("no numbers", encoding="utf-8")
    pathlib.Path("folder").mkdir()
    pathlib.Path("words.csv").write_text("a\n1\nx\n", encoding="utf-8")
    pathlib.Path("twice.csv").write_text("id,a\n1,0.5\n1,0.4\n2,0.1\n", encoding="utf-8")
    pathlib.Path("far.csv").write_text("id,a\n1001,0.5\n1002,0.4\n1003,0.1\n", encoding="utf-8")
    np.savez("evil.npz", labels=LABELS, scores=SCORES, filenames=np.array([Evil()] * N, object))


def test_a_mistake_is_one_line(bad_files, capsys):
    for arguments, said in MISTAKES:
        line = run(capsys, *arguments, code=2)
        assert line.startswith("jaxgen.compare: ")
        assert said in line, arguments
        assert "called" not in line


def test_the_evil_file_is_one_that_pickle_would_obey(bad_files, capsys):
    with np.load("evil.npz", allow_pickle=True) as file:
        assert len(file["filenames"]) == N
    assert "called" in capsys.readouterr().out
    assert pickle.loads(pickle.dumps(Evil())) is None


def store(folder, trained_on, correct, tests, ratios=(0.7,)):
    """The same runs at each ratio, in the published layout."""
    for ratio in ratios:
        for run, rows in enumerate(zip(trained_on, correct, tests, strict=True)):
            run_files.write_run(folder / f"{ratio:g}" / str(run), *rows)


def test_scores_are_recomputed_from_published_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained_on, tests = toy(1, runs=12, train=N, test=T)
    correct = np.random.default_rng(2).random((12, N)) < 0.3 + 0.4 * trained_on
    store(tmp_path / "runs", trained_on, correct, tests, (0.5, 0.7))
    held = ~trained_on
    with np.errstate(invalid="ignore"):
        heldout = (correct & held).sum(0) / held.sum(0)
    inside = (correct & trained_on).sum(0) / trained_on.sum(0)
    np.savez("expected.npz", scores=heldout, memorization=inside - heldout)
    for score in ("scores", "memorization"):
        said = run(capsys, "runs", "expected.npz", f"--score={score}")
        assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in said
    with np.load("out/first_recomputed.npz") as found:
        np.testing.assert_allclose(found["scores"], heldout)
        np.testing.assert_array_equal(found["counts"], np.tile((~trained_on).sum(0), (2, 1)))
        assert found["subset_ratios"].tolist() == [0.5, 0.7]
    outcomes = run_files.stream_runs(run_files.open_run_folder(tmp_path / "runs"), 1)
    matrix = influence.influence_matrix(influence.gather(outcomes, N, T))
    np.savez("infl_mem.npz", memorization=MEMORIZATION, influence=matrix)
    for pair in (["runs", "infl_mem.npz"], ["infl_mem.npz", "runs"]):
        said = run(capsys, *pair, "--score=influence")
        assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in said
    said = run(capsys, "out/second_recomputed.npz", "infl_mem.npz", "--score=influence")
    assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in said
    assert "| Pearson | 1.0000" in run(capsys, "out/second_recomputed.npz", "expected.npz", "--score=memorization")
    assert "can be recomputed scores, stderr" in run(capsys, "runs", "expected.npz", "--score=aum,scores", code=2)


def test_nested_runs_are_recognized_and_have_their_larger_errors(tmp_path):
    rng = np.random.default_rng(3)
    place = rng.random((40, N)).argsort(1).argsort(1)
    luck = rng.normal(0, 0.3, (40, 1))
    for ratio in (0.4, 0.6):
        correct = rng.random((40, N)) < 0.5 + luck
        store(tmp_path / "nested", place < ratio * N, correct, np.ones((40, 3), bool), (ratio,))
    runs = open_runs(tmp_path / "nested")
    assert runs.nested
    assert not open_runs_of_other_draws(tmp_path).nested
    nested, plain = (np.nanmean(recompute(each, 0)["stderr"]) for each in (runs, runs._replace(nested=False)))
    assert nested > 1.1 * plain


def open_runs_of_other_draws(folder):
    for seed, ratio in enumerate((0.4, 0.6)):
        trained_on, tests = toy(seed, runs=4, train=N, test=3, ratio=ratio)
        store(folder / "other", trained_on, trained_on, tests, (ratio,))
    return open_runs(folder / "other")


def test_a_datamodels_store_gives_scores_and_influence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained_on, tests = toy(4, runs=90, train=N, test=T)
    done = np.arange(90) % 9 > 0
    correct = np.random.default_rng(5).random((90, N)) < 0.3 + 0.5 * trained_on
    for name, answers in (("train", correct), ("test", tests)):
        (tmp_path / name).mkdir()
        margins = np.where(answers, 0.5, -0.5).astype(np.float16)
        margins[~done] = 0
        np.save(f"{name}/masks.npy", trained_on)
        np.save(f"{name}/margins.npy", margins)
        np.save(f"{name}/_completed.npy", done)
        if name == "train":
            held = ~trained_on & done[:, None]
            np.save("expected.npy", (answers & held).sum(0) / held.sum(0))
    assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in run(capsys, "train", "expected.npy")
    matrix = by_definition(trained_on[done], tests[done])
    np.savez("infl_mem.npz", memorization=MEMORIZATION, influence=matrix)
    assert "| Pearson | 1.0000 | 1.0000 to 1.0000 |" in run(capsys, "infl_mem.npz", "test", "--score=influence")
    assert "test has margins of test examples" in run(capsys, "test", "expected.npy", "--score=scores", code=2)
    np.save("test/margins.npy", margins[:5])
    with pytest.raises(UserError, match=r"margins\.npy \(5, 24\)"):
        margin_files.open_margin_folder(tmp_path / "test")


def test_lowest_overlap_by_hand():
    """Of ten, the three lowest: 0, 1, 2 and 2, 1, 7."""
    first = np.arange(10.0)
    second = np.array([9, 1, 0, 8, 7, 6, 5, 2, 4, 3.0])
    found = agreement.overlap_of_lowest(first, second, 3)
    assert found.share == pytest.approx(2 / 3)
    assert found.chance == pytest.approx(0.3)
    assert (found.chance_low, found.chance_high) == (0, pytest.approx(2 / 3))


def test_ties_are_shared_out_and_order_decides_nothing():
    """Two of four zeros are among the three lowest of -1, 0, 0, 0, 0, 1."""
    values = np.array([0.0, 0, -1, 0, 0, 1])
    np.testing.assert_allclose(agreement.among_lowest(values, 3), [0.5, 0.5, 1, 0.5, 0.5, 0])
    order = np.array([5, 3, 1, 0, 2, 4])
    np.testing.assert_allclose(agreement.among_lowest(values[order], 3), agreement.among_lowest(values, 3)[order])


def test_correlations_and_their_intervals():
    rng = np.random.default_rng(6)
    covered = np.zeros(3)
    true = 0.6
    # Of two normal variables: rho_s = 6/pi asin(rho/2), tau = 2/pi asin(rho).
    expected = [true, 6 / np.pi * np.arcsin(true / 2), 2 / np.pi * np.arcsin(true)]
    for seed in range(40):
        first, noise = rng.normal(size=(2, 100))
        second = true * first + np.sqrt(1 - true**2) * noise
        low, high = agreement.bootstrap(jax.random.key(seed), first, second, 80).T
        covered += (low <= expected) & (expected <= high)
    assert (covered >= 32).all(), "of 95 % intervals 38 of 40 cover, give or take"
    assert (covered < 40).any()
    found = agreement.correlations(first, second)
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic)


def test_equal_values_share_their_place_in_the_order():
    np.testing.assert_allclose(agreement.rank_shares(np.array([0.5, -1.0, 0.5, 2.0])), [0.5, 0.125, 0.5, 0.875])


def test_scores_of_opposite_suspicious_ends_are_turned_to_one(tmp_path, capsys, monkeypatch):
    """Memorization is suspicious if high, the C-score if low: the same examples stand out."""
    monkeypatch.chdir(tmp_path)
    own("a.npz")
    run(capsys, "a.npz", "a.npz", "--score=scores,memorization")
    table = pathlib.Path("out/table.md").read_text(encoding="utf-8")
    assert "of scores and memorization the suspicious ends are opposite: the second is turned round" in table
    expected = stats.spearmanr(SCORES, -MEMORIZATION).statistic
    assert f"{expected:.4f}" in table
    run(capsys, "--flagfile=out/flags.cfg")
    assert pathlib.Path("out/table.md").read_text(encoding="utf-8") == table


def test_bars_and_tags_in_names_are_shown():
    table = to_table(["label", "n"], [["p|q", "1"], ["<b>x</b>", "< 0.05"]])
    assert table.splitlines()[2:] == ["| p\\|q | 1 |", "| &lt;b>x&lt;/b> | < 0.05 |"]


@pytest.mark.parametrize("names_first", [True, False])
def test_labels_may_be_codes_in_one_file_and_names_in_the_other(tmp_path, capsys, monkeypatch, names_first):
    monkeypatch.chdir(tmp_path)
    own("cscores.npz")
    lines = [f"{i},{'abc'[LABELS[i]]},{value}" for i, value in enumerate(SCORES[::-1])]
    pathlib.Path("mine.csv").write_text("\n".join(["id,label,score", *lines]) + "\n", encoding="utf-8")
    files = ["mine.csv:score", "cscores.npz"] if names_first else ["cscores.npz", "mine.csv:score"]
    assert compare.main([*files, "--num_draws=20", "--out=out"]) == 0
    said = capsys.readouterr().out
    assert f"labels agree in all {N}" in said
    assert re.search(r"\| \d+ \| a \|", said)
    assert not re.search(r"\| \d+ \| \d \|", said)


def test_labels_that_differ_are_told_by_their_names(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz")
    own("b.npz", labels=np.where(np.arange(N) == 4, (LABELS + 1) % 3, LABELS))
    assert compare.main(["a.npz", "b.npz"]) == 2
    expected = f"labels differ, first at id 4: {'abc'[LABELS[4]]} and {'abc'[(LABELS[4] + 1) % 3]} (1 of {N} differ)"
    assert expected in capsys.readouterr().err


def test_labels_are_in_the_column_that_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("cscores.npz")
    lines = [f"{i},{LABELS[i]},{value}" for i, value in enumerate(SCORES[::-1])]
    pathlib.Path("mine.csv").write_text("\n".join(["id,kind,score", *lines]) + "\n", encoding="utf-8")
    typed = ["mine.csv:score", "cscores.npz", "--num_draws=20", "--out=out"]
    assert compare.main(typed) == 0
    assert "labels could not be checked" in capsys.readouterr().out
    assert compare.main([*typed, "--label_column=kind"]) == 0
    assert f"labels agree in all {N}" in capsys.readouterr().out
    assert compare.main([*typed, "--label_column=grade"]) == 2
    assert "--label_column=grade: mine.csv has the columns id, kind, score" in capsys.readouterr().err


def test_other_labels_are_taken_if_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz")
    own("b.npz", labels=np.where(np.arange(N) < 4, (LABELS + 1) % 3, LABELS))
    assert compare.main(["a.npz", "b.npz", "--num_draws=20", "--out=out"]) == 2
    assert "give --other_labels if they were cleaned or flipped" in capsys.readouterr().err
    assert compare.main(["a.npz", "b.npz", "--num_draws=20", "--out=out", "--other_labels"]) == 0
    assert f"labels differ in 4 of {N}, as --other_labels allows" in capsys.readouterr().out


def test_the_folders_of_jobs_do_and_name_the_comparison(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        pathlib.Path(name).mkdir()
        own(pathlib.Path(name) / "cscores.npz", **({"scores": SCORES[::-1]} if name == "two" else {}))
    assert compare.main(["one", "two", "--num_draws=20"]) == 0
    assert (tmp_path / "runs" / "compare_one_two" / "table.md").exists()


def test_two_scores_at_the_same_end_do_not_disagree(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Of the first a third is at the top, of the second all but two, which are the only ones to disagree about.
    own("a.npz", scores=np.minimum(SCORES * 1.5, 1))
    own("b.npz", scores=np.where(np.arange(N) < 2, [0.1 * (i + 1) for i in range(N)], 1.0))
    assert compare.main(["a.npz", "b.npz", "--num_draws=20", "--out=out"]) == 0
    said = capsys.readouterr().out
    assert not re.search(r"\| 1 \([\d.]+%\) \| 1 \(", said)


def test_codes_beyond_the_names_are_taken_as_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz", class_names=np.array(["a", "b"]))
    own("b.npz")
    assert compare.main(["a.npz", "b.npz", "--num_draws=20", "--out=out"]) == 0
    assert f"labels agree in all {N}" in capsys.readouterr().out


def test_the_same_scores_differ_nowhere(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz")
    assert compare.main(["a.npz", "a.npz", "--num_draws=20", "--out=out"]) == 0
    said = capsys.readouterr().out
    assert "No rank differs." in said
    assert "furthest apart" not in said
    assert "share the k-th value" not in said


def test_ties_at_the_end_of_the_lowest_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz", scores=np.minimum(SCORES, 0.8) * (SCORES > 0.5))
    own("b.npz")
    assert compare.main(["a.npz", "b.npz", "--num_draws=20", "--out=out"]) == 0
    zeros = int((SCORES <= 0.5).sum())
    assert f"up to as many share one: {zeros} a.npz: scores." in capsys.readouterr().out


def test_only_what_can_be_compared_is_offered(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("a.npz")
    assert compare.main(["a.npz", "a.npz", "--score=nonsense"]) == 2
    assert "a.npz has memorization, scores, stderr, influence" in capsys.readouterr().err


def test_a_number_is_written_as_files_write_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own("cscores.npz")
    lines = [f"{i},{value}" for i, value in enumerate(SCORES[:-1])]
    pathlib.Path("mine.csv").write_text("\n".join(["id,score", *lines, f"{N - 1},1_0"]) + "\n", encoding="utf-8")
    assert compare.main(["mine.csv:score", "cscores.npz"]) == 2
    assert "'1_0' is no number" in capsys.readouterr().err
