"""Influence worked by hand, held against brute force on toy ensembles, and its laws."""

import itertools

import numpy as np
import pytest

from jaxgen.scores import influence
from jaxgen.scores.influence_by_chance import NUM_SHIFTS, by_chance
from jaxgen.types import Outcome
from support.influence import by_definition, toy


def outcome(trained_on, test_correct, finite=None, validation=None):
    trained_on, test_correct = np.asarray(trained_on, bool), np.asarray(test_correct, bool)
    runs = len(trained_on)
    return Outcome(
        np.packbits(trained_on, axis=1),
        np.zeros((runs, -(-trained_on.shape[1] // 8)), np.uint8),
        np.packbits(test_correct, axis=1),
        np.zeros((runs, 1), np.float32),
        np.ones(runs, np.int32),
        np.ones(runs, bool) if finite is None else np.asarray(finite, bool),
        np.zeros((runs, 0), np.uint8) if validation is None else np.packbits(np.asarray(validation, bool), axis=1),
    )


def gather(trained_on, test_correct, **others):
    return influence.gather(
        [outcome(trained_on, test_correct, **others)], np.shape(trained_on)[1], np.shape(test_correct)[1]
    )


def test_influence_by_hand():
    """Ten runs, two training examples, one test example: 4 of 5 against 1 of 5, and 3 of 7 against 2 of 3."""
    trained_on = np.array([[1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 1, 1, 0, 0]]).T
    correct = np.array([[1, 1, 1, 1, 0, 0, 0, 0, 1, 0]]).T
    answers = gather(trained_on, correct)
    np.testing.assert_allclose(influence.influence_matrix(answers), [[4 / 5 - 1 / 5, 3 / 7 - 2 / 3]], rtol=1e-6)
    pairs = influence.estimate_pairs(answers, np.array([1, 0]), np.array([0, 0]))
    assert pairs.train.tolist() == [0, 1], "the largest first"
    np.testing.assert_allclose(pairs.values, [3 / 5, 3 / 7 - 2 / 3])
    variances = [0.8 * 0.2 / 4 + 0.2 * 0.8 / 4, (3 / 7) * (4 / 7) / 6 + (2 / 3) * (1 / 3) / 2]
    np.testing.assert_allclose(pairs.stderr, np.sqrt(variances))


@pytest.mark.parametrize(("runs", "train", "test"), [(45, 37, 21), (8, 16, 8), (3, 5, 9)])
def test_blocks_of_any_size_give_what_the_definition_gives(monkeypatch, runs, train, test):
    trained_on, correct = toy(1, runs, train, test)
    expected = by_definition(trained_on, correct)
    for train_block, test_block in ((4096, 2048), (8, 3), (24, 5)):
        monkeypatch.setattr(influence, "TRAIN_BLOCK", train_block)
        monkeypatch.setattr(influence, "TEST_BLOCK", test_block)
        np.testing.assert_allclose(influence.influence_matrix(gather(trained_on, correct)), expected, atol=1e-6)


def top_by_definition(matrix, count):
    """Pairs above 0 among the `count` largest of a row or a column, the lower index first among equals."""
    kept = set()
    for j, row in enumerate(matrix):
        order = [i for i in np.lexsort((np.arange(len(row)), -np.nan_to_num(row))) if row[i] > 0]
        kept |= {(i, j) for i in order[:count]}
    for i, column in enumerate(matrix.T):
        order = [j for j in np.lexsort((np.arange(len(column)), -np.nan_to_num(column))) if column[j] > 0]
        kept |= {(i, j) for j in order[:count]}
    return kept


@pytest.mark.parametrize("count", [1, 4, 100])
@pytest.mark.parametrize("blocks", [(4096, 2048), (8, 3)])
def test_the_strongest_pairs_are_those_of_the_whole_matrix(monkeypatch, count, blocks):
    """Few runs: many influences are equal, and the lower index decides."""
    monkeypatch.setattr(influence, "TRAIN_BLOCK", blocks[0])
    monkeypatch.setattr(influence, "TEST_BLOCK", blocks[1])
    answers = gather(*toy(3, runs=12))
    found = influence.strongest(answers, count)
    matrix = influence.influence_matrix(answers)
    kept = list(zip(found.train.tolist(), found.test.tolist(), strict=True))
    assert len(set(kept)) == len(kept)
    assert set(kept) == top_by_definition(matrix, count)
    np.testing.assert_allclose(found.values, matrix[found.test, found.train], atol=1e-6)
    assert (np.diff(found.values) <= 0).all()


def test_what_all_runs_get_right_has_no_pair():
    """Of 137 runs: k (1/k) is not 1 for every k in float32, nor the difference of two such products 0."""
    rng = np.random.default_rng(13)
    trained_on, correct = rng.random((137, 40)) < 0.7, rng.random((137, 12)) < 0.5
    correct[:, 5] = True
    answers = gather(trained_on, correct)
    found = influence.strongest(answers, 40)
    assert 5 not in found.test
    assert {*range(12)} - {5} == {*found.test.tolist()}
    assert found.values.min() > 0
    assert (influence.influence_matrix(answers)[5] == 0).all()


def test_equal_influences_of_unequal_rates_go_to_the_lower_index():
    """With 7 runs on each side, 3/7 - 1/7, 4/7 - 2/7, ... are all 2/7, though not as differences of floats."""
    blocks = [np.roll(np.arange(14) < 7, 7 * i) for i in range(2)]
    rng = np.random.default_rng(14)
    trained_on = np.stack([rng.permutation(blocks[0]) for _ in range(60)], axis=1)
    correct = np.stack([rng.permutation(np.arange(14) < 3 + j) for j in range(8)], axis=1)
    answers = gather(trained_on, correct)
    counts = np.asarray([[2 * (trained_on[:, i] & correct[:, j]).sum() for i in range(60)] for j in range(8)])
    exact = counts - correct.sum(0)[:, None]
    for count in (1, 3, 5):
        found = influence.strongest(answers, count)
        assert set(zip(found.train.tolist(), found.test.tolist(), strict=True)) == top_by_definition(exact, count)
        order = list(zip(-exact[found.test, found.train], found.test, found.train, strict=True))
        assert order == sorted(order)


def test_the_example_that_decides_is_found():
    answers = gather(*toy(4, runs=4000))
    found = influence.strongest(answers, 1)
    first = dict(zip(found.test.tolist()[::-1], found.train.tolist()[::-1], strict=True))
    assert first == {j: j for j in range(21)}
    own = found.train == found.test
    # Each is 0.5 by construction, and the errors say how far from it estimates are.
    assert np.abs((found.values[own] - 0.5) / found.stderr[own]).max() < 4
    assert 0.6 < np.std((found.values[own] - 0.5) / found.stderr[own]) < 1.5


def test_never_held_out_and_never_trained_on_are_nan_and_in_no_pair():
    trained_on, correct = toy(5)
    trained_on[:, 4], trained_on[:, 7] = True, False
    answers = gather(trained_on, correct)
    matrix = influence.influence_matrix(answers)
    assert np.isnan(matrix[:, [4, 7]]).all()
    assert np.isfinite(np.delete(matrix, [4, 7], axis=1)).all()
    assert not {4, 7} & set(influence.strongest(answers, 30).train.tolist())
    assert np.isnan(influence.estimate_pairs(answers, np.array([4, 7]), np.array([0, 0])).values).all()


def test_a_single_run_on_one_side_has_no_error():
    pairs = influence.estimate_pairs(gather([[1], [0], [0]], [[1], [0], [1]]), np.array([0]), np.array([0]))
    assert pairs.values == [0.5]
    assert np.isnan(pairs.stderr).all()


def test_diverged_runs_are_left_out():
    trained_on, correct = toy(6)
    finite = np.arange(45) % 4 > 0
    some = gather(trained_on, correct, finite=finite)
    assert some.num_runs == finite.sum()
    alone = gather(trained_on[finite], correct[finite])
    np.testing.assert_array_equal(influence.influence_matrix(some), influence.influence_matrix(alone))


def test_runs_stopped_by_an_example_neither_trained_on_it_nor_held_it_out():
    trained_on, correct = toy(7)
    validation = trained_on & (np.random.default_rng(0).random(trained_on.shape) < 0.2)
    found = influence.influence_matrix(gather(trained_on, correct, validation=validation))
    for j, i in itertools.product(range(5), range(9)):
        inside, outside = trained_on[:, i] & ~validation[:, i], ~trained_on[:, i]
        expected = correct[inside, j].mean() - correct[outside, j].mean()
        np.testing.assert_allclose(found[j, i], expected, atol=1e-6)


def test_batches_of_runs_change_nothing():
    trained_on, correct = toy(8)
    pieces = [outcome(trained_on[at : at + 7], correct[at : at + 7]) for at in range(0, 45, 7)]
    for whole, split in zip(gather(trained_on, correct), influence.gather(pieces, 37, 21), strict=True):
        np.testing.assert_array_equal(whole, split)


def test_renaming_examples_renames_pairs():
    trained_on, correct = toy(9)
    order = np.random.default_rng(1).permutation(37)
    plain, renamed = (influence.influence_matrix(gather(each, correct)) for each in (trained_on, trained_on[:, order]))
    np.testing.assert_array_equal(renamed, plain[:, order])


def test_at_ratio_one_half_it_is_the_banzhaf_value():
    """All 64 subsets of six examples once: the mean marginal contribution over subsets without the example."""
    subsets = list(itertools.product([False, True], repeat=6))

    def utility(members):
        return int(sum(members[:3]) > sum(members[3:]) or members[5])

    found = influence.influence_matrix(gather(subsets, [[utility(members)] for members in subsets]))
    for i in range(6):
        without = [members for members in subsets if not members[i]]
        gains = [utility((*rest[:i], True, *rest[i + 1 :])) - utility(rest) for rest in without]
        np.testing.assert_allclose(found[0, i], np.mean(gains), atol=1e-6)


def test_within_classes_only_pairs_of_one_class_are_kept():
    answers = gather(*toy(10))
    labels = np.arange(37) % 3, np.arange(21) % 4
    found = influence.strongest(answers, 2, labels=labels)
    assert len(found.train)
    np.testing.assert_array_equal(labels[0][found.train], labels[1][found.test])
    matrix = influence.influence_matrix(answers)
    matrix[labels[1][:, None] != labels[0]] = np.nan
    assert set(zip(found.train.tolist(), found.test.tolist(), strict=True)) == top_by_definition(matrix, 2)


def test_published_pairs_are_counted():
    answers, memorization = gather(*toy(11)), np.linspace(0, 0.5, 37)
    chosen = (influence.influence_matrix(answers) >= 0.15) & (memorization >= 0.25)
    each = chosen.sum(1)
    found = influence.select_pairs(answers, memorization)
    assert found == (each.sum(), (each > 0).sum(), (each == 1).sum())
    assert found.pairs > 0


def test_an_influence_of_exactly_the_least_published_is_counted():
    """17 of 20 right with it and 14 of 20 without."""
    trained_on = np.arange(40)[:, None] < 20
    correct = (np.arange(40) % 20 < np.where(np.arange(40) < 20, 17, 14))[:, None]
    assert influence.select_pairs(gather(trained_on, correct), np.ones(1)).pairs == 1


def test_answers_of_other_runs_show_what_chance_selects():
    """Where nothing has influence, as many pairs are selected as by chance; where each has its cause, more."""
    rng = np.random.default_rng(12)
    trained_on, memorization = rng.random((60, 300)) < 0.7, np.ones(300)
    none = gather(trained_on, rng.random((60, 100)) < 0.5)
    real, chance = (influence.select_pairs(none, memorization, shift=shift).pairs for shift in (0, 30))
    assert 0.8 < real / chance < 1.25
    shifted = by_chance(none, memorization, num_shifts=3)
    # Shifts of 15, 30 and 45 runs; the strongest of 30,000 pairs of no influence is far from 0.
    assert shifted.pairs[1] == chance
    strongest = influence.strongest(none, 1).values.max()
    np.testing.assert_allclose(shifted.strongest, strongest, atol=0.12)
    assert shifted.strongest.min() > 0.4
    trained_on = rng.random((600, 300)) < 0.7
    caused = gather(trained_on, trained_on[:, :100])
    real, chance = (influence.select_pairs(caused, memorization, shift=shift).pairs for shift in (0, 300))
    assert real - 100 == pytest.approx(chance, abs=20)
    shifted = by_chance(caused, memorization)
    assert len(shifted.pairs) == NUM_SHIFTS
    assert np.mean(shifted.pairs) == pytest.approx(real - 100, abs=20)
    assert influence.strongest(caused, 1).values.max() == 1 > shifted.strongest.max()
