"""Early stopping: the best epoch is kept, slots are refilled, and nobody's company changes a thing."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxgen.engine.slots import SlotPool
from jaxgen.scores import designs
from jaxgen.types import Outcome
from support.ensembles import assert_same, cells_of, job, make, train

STOPPING = {"epochs": 8, "validation_share": 0.3, "patience": 2, "learning_rate": 0.5, "momentum": 0.5}


def slotted(slots):
    return slots.rows.tolist()


def outcome_of(rows):
    """An outcome that tells rows apart."""
    values = np.maximum(np.asarray(rows), 0)
    nothing = np.zeros((len(values), 0), np.uint8)
    return Outcome(*(values.reshape(-1, 1) for _ in range(4)), values, np.ones(len(values), bool), nothing)


def test_slots_by_hand():
    slots = SlotPool(5, 2)
    assert slots.admit(np.ones(2, bool)).tolist() == [True, True]
    assert slotted(slots) == [0, 1]
    told = []
    slots.report_work(np.array([1, 1]), np.array([False, True]), 0.5, 4, told.append)
    assert told == [0.625]
    assert slots.should_retire(np.array([False, True]))
    slots.retire(np.array([False, True]), outcome_of(slots.rows), 4, told.append)
    assert told[-1] == 0.75, "the epochs it did not need"
    assert slots.admit(np.array([False, True])).tolist() == [False, True]
    assert slotted(slots) == [0, 2]
    for expected in ([3, 4], [-1, -1]):
        slots.retire(slots.taken, outcome_of(slots.rows), 4, told.append)
        slots.admit(np.ones(2, bool))
        assert slotted(slots) == expected
    assert not slots.taken.any()
    assert slots.outcome().epochs.tolist() == [0, 1, 2, 3, 4]
    assert sum(told) == 5, "five whole trainings in all"


def test_a_few_done_members_wait_for_more_company():
    slots = SlotPool(100, 16)
    slots.admit(np.ones(16, bool))
    done = np.arange(16) < 3
    assert not slots.should_retire(done)
    assert slots.should_retire(np.arange(16) < 4)
    slots.step = 3
    assert not slots.should_retire(np.ones(16, bool)), "not in the middle of an epoch"


def test_the_last_members_are_examined_together():
    slots = SlotPool(4, 4)
    slots.admit(np.ones(4, bool))
    assert not slots.should_retire(np.array([True, True, True, False]))
    assert slots.should_retire(np.ones(4, bool))


def test_what_is_kept_of_slots_comes_back():
    slots = SlotPool(5, 2)
    slots.admit(np.ones(2, bool))
    slots.retire(np.array([True, False]), outcome_of(slots.rows), 4, lambda work: None)
    slots.admit(np.array([True, False]))
    slots.step = 7
    again = SlotPool(5, 2)
    again.restore(slots.state())
    assert slotted(again) == [2, 1]
    assert (again.step, again.waiting) == (7, 3)
    assert again.outcomes[0].epochs == 0


@pytest.mark.slow
def test_members_stop_at_different_epochs_and_company_changes_nothing(dataset):
    spec = job(**STOPPING)
    ensemble = make(dataset, spec)
    run_group = cells_of(dataset, spec)["ratio_0.9"]
    refilled = ensemble.train(run_group.rows(np.arange(12)), 2, run_group.max_size, 1000)
    alone = train(dataset, spec, list(range(12)), width=1, num_devices=1)
    assert len(set(alone.epochs.tolist())) > 1, "the test needs members of different length"
    assert_same(refilled, alone, exactly=False)
    np.testing.assert_array_equal(refilled.epochs, alone.epochs)


@pytest.mark.slow
def test_the_best_epochs_weights_are_kept(dataset):
    """A member that stopped with its best weights after epoch k is the member trained for k epochs only."""
    spec = job(**STOPPING)
    stopped = train(dataset, spec, [0, 1, 2, 3])
    lengths = stopped.epochs.tolist()
    assert len(set(lengths)) > 1, "the test needs members of different length"
    # Each length is a program of its own.
    for i in (lengths.index(min(lengths)), lengths.index(max(lengths))):
        epochs = lengths[i]
        shorter = job(**{**STOPPING, "epochs": epochs, "patience": 100})
        once = train(dataset, shorter, [i])
        if once.epochs[0] == epochs:
            np.testing.assert_array_equal(once.correct[0], stopped.correct[i])
            np.testing.assert_array_equal(once.test_correct[0], stopped.test_correct[i])
        ran = int(np.isfinite(stopped.loss_curve[i]).sum())
        assert ran == min(8, epochs + 2), "patience is two epochs"


def test_validation_examples_are_the_members_own_and_are_not_trained_on(dataset):
    spec = job(validation_share=0.3)
    ensemble = make(dataset, spec, 1)
    rows = cells_of(dataset, spec)["ratio_0.9"].rows(np.arange(4))
    [start] = ensemble.prepare(rows, 4, ["start"])
    members, _ = start(ensemble._placed(rows, np.arange(4)), ensemble.data)
    for i in range(4):
        size, held = int(members.size[i]), int(members.num_validation[i])
        own = set(np.flatnonzero(members.config.trained_on[i]))
        parts = (
            set(members.example_order[i, :size].tolist()),
            set(members.example_order[i, size : size + held].tolist()),
        )
        assert held == int(len(own) * np.float32(0.3))
        assert parts[0] | parts[1] == own
        assert not parts[0] & parts[1]
    assert len({tuple(sorted(row)) for row in np.asarray(members.example_order)[:, :30].tolist()}) == 4


def test_a_validation_share_takes_no_part_in_the_subset(dataset):
    plain, split = train(dataset, job(), [0, 1]), train(dataset, job(validation_share=0.3), [0, 1])
    np.testing.assert_array_equal(plain.trained_on, split.trained_on)
    assert not np.array_equal(plain.loss_curve, split.loss_curve)


@pytest.mark.parametrize("steps_per_call", [1, 4, 1000])
def test_the_calls_in_which_it_is_trained_change_nothing(dataset, steps_per_call):
    spec = job(**STOPPING)
    ensemble = make(dataset, spec)
    run_group = cells_of(dataset, spec)["ratio_0.9"]
    results = [
        ensemble.train(run_group.rows(np.arange(6)), 2, run_group.max_size, calls) for calls in (3, steps_per_call)
    ]
    assert_same(*results, exactly=True)


def test_all_work_is_told_of(dataset):
    spec = job(**STOPPING)
    run_group = cells_of(dataset, spec)["ratio_0.9"]
    told = []
    make(dataset, spec).train(run_group.rows(np.arange(6)), 2, run_group.max_size, 3, told.append)
    np.testing.assert_allclose(sum(told), 6, rtol=1e-6)
    assert min(told) >= 0


class Memory:
    """A checkpoint in memory, taken after the first `wait` offers; raises when it has one."""

    def __init__(self, wait):
        self.wait, self.kept = wait, None

    def offer(self, state):
        self.wait -= 1
        if not self.wait:
            self.kept = jax.tree.map(np.asarray, state())
            raise KeyboardInterrupt

    def restore(self, like):
        if self.kept is None:
            return None
        slots, train_state = self.kept
        return slots, jax.tree.map(lambda leaf, shape: jax.device_put(leaf, shape.sharding), train_state, like)


@pytest.mark.parametrize("stopping", [{}, STOPPING], ids=["to the end", "stopping early"])
@pytest.mark.parametrize("wait", [1, 3, 6])
def test_a_training_taken_up_in_its_middle_ends_as_if_undisturbed(dataset, stopping, wait):
    spec = job(**stopping, ema_decay=0.5, weight_decay=1e-3)
    ensemble, run_group = make(dataset, spec), cells_of(dataset, spec)["ratio_0.9"]
    rows = run_group.rows(np.arange(6 if stopping else 4))
    straight = ensemble.train(rows, 2, run_group.max_size, 3)
    memory = Memory(wait)
    with pytest.raises(KeyboardInterrupt):
        ensemble.train(rows, 2, run_group.max_size, 3, checkpoint=memory)
    # Calls of another length than before: what is kept does not depend on them.
    earlier, now = [], []
    resumed = ensemble.train(rows, 2, run_group.max_size, 5, now.append, checkpoint=memory, on_resume=earlier.append)
    assert_same(straight, resumed, exactly=True)
    assert len(earlier) == 1
    assert 0 < earlier[0] < len(straight.epochs)
    np.testing.assert_allclose(earlier[0] + sum(now), len(straight.epochs), rtol=1e-6)


def test_a_subset_of_no_validation_examples_trains_on(dataset):
    """Balanced subsets differ in size; a share of a small one may be none, and then nothing stops the member."""
    cut = dataclasses.replace(dataset, images=dataset.images[:55], labels=dataset.labels[:55])
    spec = job(**{**STOPPING, "validation_share": 0.01})
    assert designs.subset_sizes("balanced", 0.9, 55)[1] * 0.01 < 1
    outcome = train(cut, spec, [0, 1])
    assert outcome.epochs.tolist() == [8, 8]
    assert np.isfinite(outcome.loss_curve).all()
