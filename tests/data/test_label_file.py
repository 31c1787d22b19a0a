"""Noisy labels from files: in the layout of CIFAR-10N or one column, matched with the examples, never unpickled."""

import dataclasses
import importlib.util
import pickle
import zipfile

import numpy as np
import pytest

from jaxgen import UserError
from jaxgen.data import label_file
from jaxgen.data.checks import make_dataset
from jaxgen.data.label_file import load_noisy_labels

COUNT = 6
CLEAN = np.array([0, 1, 2, 0, 1, 2])
WORSE = np.array([1, 1, 2, 0, 1, 0])
HUMAN = {"clean_label": CLEAN, "aggre_label": np.array([0, 1, 2, 0, 1, 0]), "worse_label": WORSE}


@pytest.fixture
def dataset():
    return make_dataset("six", np.zeros((COUNT, 2, 2), np.uint8), CLEAN, source="six")


def load(path, dataset, key=""):
    return load_noisy_labels(str(path), key, dataset, f"--inject=file:{path.name}")


def reordered(dataset, ids):
    return dataclasses.replace(dataset, ids=np.asarray(ids), labels=dataset.labels[ids])


def test_a_column_is_chosen_by_its_key(dataset, tmp_path):
    np.savez(tmp_path / "human.npz", **HUMAN)
    found = load(tmp_path / "human.npz", dataset, "worse_label")
    np.testing.assert_array_equal(found.labels, WORSE)
    assert found.labels.dtype == np.int32
    assert found.matched == "by id, as clean_label agrees with the data"
    with pytest.raises(UserError, match="has 2 columns of labels; give one of aggre_label, worse_label after the file"):
        load(tmp_path / "human.npz", dataset)
    with pytest.raises(UserError, match="has no column worst; give one of aggre_label, worse_label"):
        load(tmp_path / "human.npz", dataset, "worst")
    with pytest.raises(UserError, match="has no column clean_label"):
        load(tmp_path / "human.npz", dataset, "clean_label")


def test_a_column_of_numbers_needs_no_key(dataset, tmp_path):
    np.save(tmp_path / "column.npy", WORSE.astype(float))
    np.savez(tmp_path / "column.npz", noisy=WORSE)
    (tmp_path / "column.csv").write_text("".join(f"{label}\n" for label in WORSE))
    lines = "".join(f"{clean}, {label}\n" for clean, label in zip(CLEAN, WORSE, strict=True))
    (tmp_path / "named.csv").write_text(f"clean_label, worse\n{lines}")
    for name in ("column.npy", "column.npz", "column.csv", "named.csv"):
        np.testing.assert_array_equal(load(tmp_path / name, dataset).labels, WORSE)
    with pytest.raises(UserError, match="has no column worse_label; leave the key out"):
        load(tmp_path / "column.csv", dataset, "worse_label")
    (tmp_path / "nameless.csv").write_text(lines)
    with pytest.raises(UserError, match="has 2 columns without names in its first line"):
        load(tmp_path / "nameless.csv", dataset)


def test_rows_are_matched_by_id_or_by_position_as_the_clean_labels_say(dataset, tmp_path):
    """Data sets of tensorflow-datasets are in another order than the original files."""
    np.savez(tmp_path / "original.npz", **HUMAN)
    ids = [4, 2, 0, 1, 3, 5]
    other = reordered(dataset, ids)
    np.testing.assert_array_equal(load(tmp_path / "original.npz", other, "worse_label").labels, WORSE[ids])
    np.savez(tmp_path / "same.npz", **{name: column[ids] for name, column in HUMAN.items()})
    found = load(tmp_path / "same.npz", other, "worse_label")
    np.testing.assert_array_equal(found.labels, WORSE[ids])
    assert found.matched.startswith("in their order")
    # The first examples of a data set: the file may have more if its clean labels agree.
    part = dataclasses.replace(other, ids=other.ids[:3], labels=other.labels[:3], images=other.images[:3])
    np.testing.assert_array_equal(load(tmp_path / "original.npz", part, "worse_label").labels, WORSE[ids[:3]])
    # Ids that are no positions.
    named = dataclasses.replace(dataset, ids=np.array(list("abcdef")))
    np.save(tmp_path / "column.npy", WORSE)
    assert load(tmp_path / "column.npy", named).matched == "in their order"


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (WORSE[:5], "has 5 labels, and six 6 training examples; give one label each"),
        (np.append(WORSE, 0), "has 7 labels, and six 6 training examples"),
        (np.where(WORSE == 1, 3, WORSE), "the label of example 0 is 3; classes of six count from 0 to 2"),
        (WORSE - 1, "the label of example 3 is -1; classes of six count from 0 to 2"),
        (WORSE + 0.5, "needed are whole numbers in a column; found float64"),
        (np.array([np.nan] * 6), "needed are whole numbers in a column"),
        (WORSE[:, None], r"needed are whole numbers in a column; found int64 \(6, 1\)"),
        (CLEAN, "0 of 6 labels differ from those of six; needed: some, and not all"),
        ((CLEAN + 1) % 3, "6 of 6 labels differ"),
    ],
)
def test_labels_that_are_not_of_these_examples_are_refused(dataset, tmp_path, column, said):
    np.save(tmp_path / "column.npy", column)
    with pytest.raises(UserError, match=f"--inject=file:column.npy: .*{said}"):
        load(tmp_path / "column.npy", dataset)


def test_clean_labels_that_disagree_with_the_data_are_refused(dataset, tmp_path):
    np.savez(tmp_path / "other.npz", clean_label=np.roll(CLEAN, 1), worse_label=WORSE)
    with pytest.raises(UserError, match=r"clean_label differs .* for 6 of 6 examples, first of id 0: 2, not 0; needed"):
        load(tmp_path / "other.npz", dataset)
    np.savez(tmp_path / "short.npz", clean_label=CLEAN[:5], worse_label=WORSE)
    with pytest.raises(UserError, match="has 6 labels and 5 of clean_label"):
        load(tmp_path / "short.npz", dataset)


class Harmful:
    """Unpickling it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(dataset, tmp_path):
    np.save(tmp_path / "human_ordered.npy", np.array({**HUMAN, "more": Harmful(tmp_path / "harm")}, dtype=object))
    with pytest.raises(UserError, match=r"cannot be read \(it holds Python objects.*if it holds a dictionary and you"):
        load(tmp_path / "human_ordered.npy", dataset, "worse_label")
    (tmp_path / "labels.txt").write_text("0")
    with pytest.raises(UserError, match="is of an unknown kind"):
        load(tmp_path / "labels.txt", dataset)
    (tmp_path / "none.npz").write_bytes(b"none")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "none.npz", dataset)
    (tmp_path / "empty.csv").write_text("label\n")
    with pytest.raises(UserError, match="it has no lines of numbers"):
        load(tmp_path / "empty.csv", dataset)
    assert not (tmp_path / "harm").exists()


def test_a_file_of_pytorch_without_it_is_refused_with_the_remedy(dataset, tmp_path, monkeypatch):
    (tmp_path / "human.pt").write_bytes(b"")
    monkeypatch.setattr(label_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"PyTorch reads this file, and is not installed; pip install -e '.\[torch\]'"):
        load(tmp_path / "human.pt", dataset)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_files_of_pytorch_are_read_without_unpickling_more_than_arrays(dataset, tmp_path):
    import torch

    torch.save(HUMAN, tmp_path / "arrays.pt")
    torch.save({name: torch.tensor(column) for name, column in HUMAN.items()}, tmp_path / "tensors.pt")
    # As NumPy 1 wrote it.
    with zipfile.ZipFile(tmp_path / "arrays.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            old.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    for name in ("arrays.pt", "tensors.pt", "old.pt"):
        np.testing.assert_array_equal(load(tmp_path / name, dataset, "worse_label").labels, WORSE)
    torch.save({**HUMAN, "more": Harmful(tmp_path / "harm")}, tmp_path / "harmful.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    torch.save([1, 2], tmp_path / "list.pt")
    for name, said in (("harmful.pt", "nothing else is"), ("plain.pt", ""), ("list.pt", "no dictionary of labels")):
        with pytest.raises(UserError, match=f"cannot be read .*{said}"):
            load(tmp_path / name, dataset, "worse_label")
    assert not (tmp_path / "harm").exists()


def test_a_mark_before_the_first_name_is_no_part_of_it(dataset, tmp_path):
    lines = "".join(f"{clean},{label}\n" for clean, label in zip((CLEAN + 1) % 3, WORSE, strict=True))
    (tmp_path / "excel.csv").write_text(f"clean_label,worse\n{lines}", encoding="utf-8-sig")
    with pytest.raises(UserError, match="clean_label differs from the labels of six for 6 of 6"):
        load(tmp_path / "excel.csv", dataset)
    (tmp_path / "column.csv").write_text("".join(f"{label}\n" for label in WORSE), encoding="utf-8-sig")
    np.testing.assert_array_equal(load(tmp_path / "column.csv", dataset).labels, WORSE)


def test_two_columns_of_one_name_are_refused(dataset, tmp_path):
    (tmp_path / "twice.csv").write_text("a,a\n" + "".join(f"{label},{label}\n" for label in WORSE))
    with pytest.raises(UserError, match="it has 2 columns of the name a"):
        load(tmp_path / "twice.csv", dataset, "a")


def test_a_file_that_is_not_there_or_has_a_rate_is_named(dataset, tmp_path):
    with pytest.raises(UserError, match=r"nothing.npy: there is no such file; give the path"):
        load(tmp_path / "nothing.npy", dataset)
    with pytest.raises(
        UserError, match=r"human.npz:worse:0.2 is of an unknown kind; needed: one of .*, without a rate"
    ):
        load(tmp_path / "human.npz:worse:0.2", dataset)
