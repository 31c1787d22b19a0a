"""Sweeps: lists become settings, settings become programs."""

import re

import pytest

from jaxgen import config as spec
from jaxgen.config import flags, sweep
from jaxgen.config.fields import flag_fields, spec_from_values
from jaxgen.errors import UserError


def ask(*argv):
    return flags.parse(spec.CscoreSpec, argv)


def expand(*argv):
    return sweep.expand(ask(*argv))


def test_the_last_list_varies_fastest_in_the_order_of_fields():
    settings = expand("--dropout=0,0.5", "--weight_decay=0,1e-4,5e-4", "--epochs=3,2")
    found = [
        (one.spec.train.epochs, one.spec.regularization.weight_decay, one.spec.regularization.dropout)
        for one in settings
    ]
    assert found == [
        (3, 0, 0),
        (3, 0, 0.5),
        (3, 1e-4, 0),
        (3, 1e-4, 0.5),
        (3, 5e-4, 0),
        (3, 5e-4, 0.5),
        (2, 0, 0),
        (2, 0, 0.5),
        (2, 1e-4, 0),
        (2, 1e-4, 0.5),
        (2, 5e-4, 0),
        (2, 5e-4, 0.5),
    ]


def test_names_hold_what_is_swept_and_nothing_else():
    settings = expand("--weight_decay=1e-4,1e-5", "--dropout=0.1,0", "--momentum=0.5")
    assert [one.name for one in settings] == [
        "weight_decay=0.0001,dropout=0.1",
        "weight_decay=0.0001,dropout=0",
        "weight_decay=1e-05,dropout=0.1",
        "weight_decay=1e-05,dropout=0",
    ]


def test_nothing_swept_is_one_setting_without_a_name():
    asked = ask("--dropout=0.1", "--subset_ratios=0.3,0.5", "--milestones=1,2")
    assert sweep.swept(asked) == ()
    assert sweep.expand(asked) == [("", asked)]
    assert sweep.num_settings(asked) == 1


def test_swept_flags_are_named_in_the_order_of_fields():
    asked = ask("--flip=0,0.5", "--model=mlp,linear", "--dropout=0.1")
    assert sweep.swept(asked) == ("model", "flip")
    assert sweep.num_settings(asked) == 4


def test_settings_hold_one_value_a_flag_and_leave_the_rest_alone():
    asked = ask("--flip=0,0.5", "--norm=batch,none", "--seed=7", "--hidden=9", "--out=x")
    settings = sweep.expand(asked)
    for one in settings:
        assert type(one.spec) is spec.CscoreSpec
        assert sweep.swept(one.spec) == ()
        assert (one.spec.seed, one.spec.model.hidden, one.spec.out) == (7, (9,), "x")
    assert len(set(settings)) == 4


def test_any_spec_can_be_expanded():
    assert [one.spec.dropout for one in sweep.expand(spec.RegularizationSpec(dropout=(0.1, 0.2)))] == [0.1, 0.2]
    job = spec.BenchSpec(job=ask("--epochs=1,2"))
    assert [one.spec.job.train.epochs for one in sweep.expand(job)] == [1, 2]


def test_names_are_safe_for_files_and_different():
    strange = ("a/b", "a\\b", "a%2Fb", "..", "a=b", "ü", "a:b", "a b", "a,b")
    asked = spec_from_values(spec.CscoreSpec, {"model": strange, "l1": (1e-300, 1e300, 0.1, 0.1 + 0.2)})
    names = [one.name for one in sweep.expand(asked)]
    assert len(set(names)) == len(names) == 9 * 4
    assert all(re.fullmatch(r"[A-Za-z0-9._~%+=,-]+", name) for name in names)


def test_long_names_are_cut_and_stay_different():
    many = {"l1": (1.23456789e-05, 2.3456789e-05), "max_norm": (3.456789012, 4.567890123), "mixup": (0.1, 0.2)}
    many |= {"gradient_noise": (0.12345678, 0.23456789), "input_noise": (0.12345678, 0.23456789)}
    many |= {"decoupled_weight_decay": (1.23456789e-05, 2.3456789e-05), "warmup_epochs": (0.5, 1.5)}
    names = [one.name for one in sweep.expand(spec_from_values(spec.CscoreSpec, many))]
    assert len(set(names)) == 2**7
    assert {len(name) for name in names} == {sweep.LONGEST_NAME}


def test_what_differs_in_numbers_only_shares_a_program():
    settings = expand("--learning_rate=0.1,0.2", "--dropout=0,0.5", "--crop=0,4", "--warmup_epochs=0,1")
    assert sweep.group(settings) == [list(range(16))]


def test_what_changes_the_program_parts_the_settings():
    settings = expand("--optimizer=sgd,adam", "--weight_decay=0,1", "--batch_size=8,16")
    # In the order of fields: batch size, optimizer, weight decay.
    assert sweep.group(settings) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_groups_gather_settings_that_are_apart():
    settings = expand("--learning_rate=0.1,0.2", "--schedule=constant,cosine")
    assert sweep.group(settings) == [[0, 2], [1, 3]]


def test_groups_come_in_the_order_of_their_first_setting():
    settings = expand("--epochs=9,1,5")
    assert sweep.group(settings) == [[0], [1], [2]]
    assert sweep.group([]) == []


def test_these_flags_change_the_program_and_the_other_lists_do_not():
    fields = [field for _, field in flag_fields(spec.CscoreSpec)]
    assert {field.name for field in fields if field.metadata["sweep"] and not field.metadata["hparam"]} == {
        "model",
        "norm",
        "epochs",
        "batch_size",
        "optimizer",
        "schedule",
        "validation_share",
        "patience",
    }
    for field in fields:
        assert field.metadata["sweep"] or not field.metadata["hparam"]
        assert field.metadata["hparam"] or not field.metadata["optional"]


def test_strengths_are_all_of_regularization_and_augmentation_and_off_by_default():
    for owner, field in flag_fields(spec.CscoreSpec):
        topic = owner in (spec.RegularizationSpec, spec.AugmentationSpec)
        assert field.metadata["optional"] == topic
        assert not topic or field.default == 0


def test_knobs_in_use_are_those_above_0_in_some_spec():
    settings = expand("--dropout=0,0.5", "--flip=0.5", "--weight_decay=0", "--momentum=0.5,0.9", "--warmup_epochs=1")
    specs = [one.spec for one in settings]
    assert sweep.hparams_in_use(specs) == {"dropout", "flip"}
    assert sweep.hparams_in_use([one for one in specs if one.regularization.dropout == 0]) == {"flip"}
    assert sweep.hparams_in_use([]) == sweep.hparams_in_use([spec.CscoreSpec()]) == frozenset()


def test_very_many_members_need_a_word_of_consent():
    sweep.refuse_many(sweep.MANY // 2, 2, yes=False)
    sweep.refuse_many(10**5, 10**4, yes=True)
    with pytest.raises(UserError, match=r"5,001 settings of 2 models each are 10,002 members.*--yes") as refusal:
        sweep.refuse_many(sweep.MANY // 2 + 1, 2, yes=False)
    assert "\n" not in str(refusal.value)


def test_counting_settings_does_not_make_them():
    thousand = tuple(range(1, 1001))
    asked = spec_from_values(spec.CscoreSpec, {name: thousand for name in ("epochs", "l1", "max_norm", "mixup")})
    assert sweep.num_settings(asked) == 10**12
