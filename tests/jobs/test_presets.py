"""What is given, what a preset sets, and flag files that give the same job again."""

import dataclasses
import functools
import pathlib

import pytest

from jaxgen.config import BenchSpec, CompareSpec, CscoreSpec, RandomizationSpec, RobustnessSpec, flags
from jaxgen.config.fields import chosen_flags, flag_values, spec_from_values
from jaxgen.errors import UserError
from jaxgen.experiments.randomization import presets
from jaxgen.experiments.robustness.job import settings_of as robustness_settings
from jaxgen.jobs.presets import set_by_preset
from jaxgen.jobs.python_call import spec_of_call

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
# By spec class, the settings of images that any preset may have.
SETTINGS = {
    RandomizationSpec: functools.partial(presets.settings_of, has_images=True, norms=("group",)),
    RobustnessSpec: functools.partial(robustness_settings, channels=3, corruptions=("fog", "contrast")),
}
# (spec class, flags given, some of them at their defaults)
JOBS = [
    (RandomizationSpec, ()),
    (RandomizationSpec, ("--dropout=0,0.2", "--epochs=20")),
    (RandomizationSpec, ("--preset=figure1", "--epochs=20")),
    (RandomizationSpec, ("--preset=figure1", "--batch_size=16", "--pixels=true", "--label_noise=0")),
    (RandomizationSpec, ("--preset=table1", "--crop=4,0", "--learning_rate=0.03")),
    (RandomizationSpec, ("--preset=label_noise", "--dropout=0", "--label_noise=0,0.5")),
    (RandomizationSpec, ("--preset=regularizers", "--weight_decay=0.001", "--epochs=7")),
    (RandomizationSpec, ("--preset=optimizers", "--learning_rate=0.03")),
    (RobustnessSpec, ()),
    (RobustnessSpec, ("--label_noise=0", "--epochs=20")),
    (RobustnessSpec, ("--preset=ablation", "--weight_decay=0.001", "--train_share=0.5")),
    (RobustnessSpec, ("--train_modification=night", "--learning_rate=0.03")),
    (RobustnessSpec, ("--optimizer=sgd,adam",)),
]


def write(path, spec, settings):
    path.write_text(flags.to_flagfile(spec, "head", set_by_preset(spec, settings)))
    return f"--flagfile={path}"


@pytest.mark.parametrize(("spec_class", "given"), JOBS, ids=[" ".join(given) or "none" for _, given in JOBS])
def test_the_flag_file_of_a_job_gives_the_same_settings_again(spec_class, given, tmp_path):
    spec = flags.parse(spec_class, given)
    settings = SETTINGS[spec_class](spec)
    again = flags.parse(spec_class, [write(tmp_path / "flags.cfg", spec, settings)])
    assert again == spec
    assert SETTINGS[spec_class](again) == settings


@pytest.mark.parametrize("preset", ["figure1", "table1", "label_noise", "regularizers", "optimizers"])
def test_a_flag_file_of_a_flag_file_is_the_same(preset, tmp_path):
    spec = flags.parse(RandomizationSpec, [f"--preset={preset}"])
    settings = SETTINGS[RandomizationSpec](spec)
    first = write(tmp_path / "first.cfg", spec, settings)
    again = flags.parse(RandomizationSpec, [first])
    write(tmp_path / "second.cfg", again, SETTINGS[RandomizationSpec](again))
    assert (tmp_path / "second.cfg").read_text() == (tmp_path / "first.cfg").read_text()


def test_what_a_preset_sets_is_a_comment_with_its_values(tmp_path):
    spec = flags.parse(RandomizationSpec, ["--preset=figure1", "--epochs=20"])
    write(tmp_path / "flags.cfg", spec, SETTINGS[RandomizationSpec](spec))
    lines = (tmp_path / "flags.cfg").read_text().splitlines()
    assert "# --batch_size=64  (set by --preset=figure1)" in lines
    assert "# --pixels=true,shuffled,random,gaussian  (set by --preset=figure1)" in lines
    assert {"--preset=figure1", "--epochs=20", "--momentum=0.9"} <= {*lines}


def test_a_flag_given_at_its_default_is_not_the_presets():
    epochs = [
        {setting.spec.train.epochs for setting in SETTINGS[RandomizationSpec](flags.parse(RandomizationSpec, given))}
        for given in (["--preset=figure1"], ["--preset=figure1", "--epochs=20"])
    ]
    assert epochs == [{200}, {20}]


def test_a_value_that_is_not_the_default_counts_as_given():
    made = RandomizationSpec(train=dataclasses.replace(RandomizationSpec().train, epochs=7))
    assert made.given == frozenset()
    assert chosen_flags(made) == {"epochs"}


@pytest.mark.parametrize("value", ["sgd", "rmsprop"])
def test_a_flag_that_a_preset_fixes_cannot_be_given(value):
    spec = flags.parse(RandomizationSpec, ["--preset=optimizers", f"--optimizer={value}"])
    with pytest.raises(UserError, match=f"^--optimizer={value}: --preset=optimizers sets it; leave one of the two out"):
        SETTINGS[RandomizationSpec](spec)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("r*.cfg")), ids=lambda path: path.name)
def test_configs_mean_the_same_whether_their_defaults_count_as_given_or_not(path):
    spec_class = RandomizationSpec if path.name.startswith("randomization") else RobustnessSpec
    spec = flags.parse(spec_class, [f"--flagfile={path}"])
    forgetful = dataclasses.replace(spec, given=frozenset())
    assert SETTINGS[spec_class](spec) == SETTINGS[spec_class](forgetful)


def test_given_are_the_flags_of_command_line_and_flag_files(tmp_path):
    (tmp_path / "more.cfg").write_text("# --momentum=0.5\n--batch_size=16\n--save_models\n")
    spec = flags.parse(CscoreSpec, [f"--flagfile={tmp_path / 'more.cfg'}", "--epochs", "20", "-seed=0", "--noyes"])
    assert spec.given == {"batch_size", "save_models", "epochs", "seed", "yes"}
    assert dataclasses.replace(spec, seed=1).given == spec.given
    assert flags.parse(CompareSpec, ["a.npz", "--num_draws=50", "b.npz"]).given == {"first", "second", "num_draws"}
    assert flags.parse(BenchSpec, ["--epochs=20", "--rounds=5"]).given == {"epochs", "rounds"}


def test_given_are_the_arguments_of_a_python_call():
    with spec_of_call(CscoreSpec, "jaxgen.cscore", {"epochs": 20, "subset_ratios": [0.5]}, None) as spec:
        assert spec.given == {"epochs", "subset_ratios"}
    assert spec_from_values(CscoreSpec, {"epochs": 20}).given == {"epochs"}
    assert spec_from_values(CscoreSpec, {"epochs": 20}, given=()).given == frozenset()


def test_what_was_given_is_no_flag_and_no_part_of_a_spec():
    plain, typed = CscoreSpec(), flags.parse(CscoreSpec, ["--epochs=20"])
    assert typed.given != plain.given
    assert (typed, hash(typed), repr(typed)) == (plain, hash(plain), repr(plain))
    assert "given" not in flag_values(typed)
    assert flags.to_flagfile(typed, "") == flags.to_flagfile(plain, "")


@pytest.mark.parametrize("line", ["--keep=", "--keep=epochs,seed", "-keep=epochs"])
@pytest.mark.parametrize("spec_class", [RandomizationSpec, RobustnessSpec, BenchSpec])
def test_flag_files_from_before_say_what_to_leave_out(spec_class, line, tmp_path):
    (tmp_path / "flags.cfg").write_text(f"--epochs=20\n{line}\n")
    with pytest.raises(
        UserError, match=r"^--keep: no flag any more, .* leave this line out, and with a preset"
    ) as refusal:
        flags.parse(spec_class, [f"--flagfile={tmp_path / 'flags.cfg'}"])
    assert "\n" not in str(refusal.value)
