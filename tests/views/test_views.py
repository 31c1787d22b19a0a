"""Figures and summaries: drawn for every kind of data, with the user's own text shown as text."""

import dataclasses

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from jaxgen.data.checks import make_dataset
from jaxgen.views import figures
from jaxgen.views.figures import write_figure
from jaxgen.views.gallery import MAX_CLASSES, MAX_SIDE, as_picture, below_the_highest, draw_examples, mosaic, rank_class
from jaxgen.views.histogram import draw_histogram
from jaxgen.views.summary import describe_reliability, summarize
from support.data import make_images
from support.scores import make_scores


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [axes.get_title() for axes in figure.axes]


@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow), 4])
def test_the_gallery_shows_both_ends_of_every_class(channels, tmp_path):
    dataset = make_images(channels=channels)
    scores = make_scores(dataset)
    figure = draw_examples(dataset, scores)
    shown = texts(figure)
    for label in range(3):
        ranked = rank_class(scores, label)
        for i in (ranked[0], ranked[-1]):
            assert f"{scores.scores[i]:.2f}" in shown
    titles = f"highest C-scores (1 at {scores.scores.max():.3g})", f"lowest C-scores (1 at {scores.scores.min():.3g})"
    assert {"0", "1", "2", *titles} <= set(shown)
    for suffix in ("png", "pdf"):
        write_figure(figure, tmp_path / f"x.{suffix}")
        assert (tmp_path / f"x.{suffix}").stat().st_size > 1000
    assert matplotlib_image.imread(tmp_path / "x.png").std() > 0.05


def test_each_tile_is_its_example():
    dataset = make_images()
    canvas = mosaic(dataset, [(0.0, [np.array([7, 4])])], 2, 1.3)
    times = canvas.shape[1] // (2 * 7)
    picture = canvas[: 6 * times : times, : 7 * times : times, 0]
    np.testing.assert_allclose(picture, dataset.images[7, ..., 0] / 255, atol=1e-6)


def test_examples_without_a_score_are_not_shown():
    dataset = make_images()
    values = make_scores(dataset).scores
    values[dataset.labels == 1] = np.nan
    scores = make_scores(dataset, scores=values)
    assert not len(rank_class(scores, 1))
    assert "nan" not in texts(draw_examples(dataset, scores))
    assert "40 scored" in " ".join(texts(draw_examples(dataset, scores)))


def test_many_classes_are_capped_and_said():
    dataset = make_images(classes=30)
    shown = texts(draw_examples(dataset, make_scores(dataset)))
    assert sum(text in dataset.class_names for text in shown) == MAX_CLASSES
    assert any("10 of 30 classes" in text for text in shown)


def test_small_classes_leave_places_empty():
    dataset = make_images(count=7)
    figure = draw_examples(dataset, make_scores(dataset))
    # The example of the highest score is not among the lowest.
    assert sum(text.replace(".", "").isdigit() and "." in text for text in texts(figure)) == 7 + 6


def test_tables_get_histograms_instead():
    dataset = make_dataset("table", np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3, source="x")
    figure = draw_examples(dataset, make_scores(dataset))
    assert [axes.get_title() for axes in figure.axes[:3]] == ["0 (n = 20)", "1 (n = 20)", "2 (n = 20)"]


def test_hostile_class_names_are_shown_as_text(tmp_path):
    names = ["$\\frac{1}$ <script>alert(1)</script>", "$\\undefined$", "x" * 500]
    dataset = make_images(names=np.array(names))
    figure = draw_examples(dataset, make_scores(dataset))
    write_figure(figure, tmp_path / "x.png")
    # Cut to the room there is, and no formula.
    assert sum(text.startswith("$\\frac{1}") for text in texts(figure)) == 1
    table = make_dataset("t$^$", np.eye(60), np.arange(60) % 3, source="x", class_names=np.array(names))
    write_figure(draw_examples(table, make_scores(table)), tmp_path / "y.png")
    write_figure(draw_histogram(table, make_scores(table)), tmp_path / "z.png")


@pytest.mark.parametrize("installed", [False, True])
def test_class_names_of_any_script_are_drawn_without_a_warning(tmp_path, monkeypatch, recwarn, installed):
    monkeypatch.setattr(figures, "OTHER_SCRIPTS", ("DejaVu Serif", "no such font") if installed else ("no such font",))
    figures.font_families.cache_clear()
    try:
        assert figures.font_families() == ["sans-serif", *["DejaVu Serif"] * installed]
        dataset = make_images()
        dataset = dataclasses.replace(dataset, class_names=("猫", "собака", "कुत्ता"))
        figure = draw_examples(dataset, make_scores(dataset))
        write_figure(figure, tmp_path / "x.png")
        assert {"猫", "собака", "कुत्ता"} <= set(texts(figure))
        assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    finally:
        figures.font_families.cache_clear()


def test_ties_are_counted_and_the_first_are_shown():
    dataset = make_images()
    scores = make_scores(dataset, scores=np.where(np.arange(60) < 45, 1.0, np.linspace(0, 0.9, 60)))
    assert rank_class(scores, 0, highest=True)[:3].tolist() == [0, 3, 6]
    texts = [text.get_text() for text in draw_examples(dataset, scores).axes[0].texts]
    assert "highest C-scores (45 at 1)" in texts


def test_bars_end_where_accuracies_do():
    dataset = make_images()
    figure = draw_histogram(dataset, make_scores(dataset, heldout_accuracy=np.array([[1.0, 0.9] * 5] * 2)))
    [bars] = figure.axes[1].containers
    assert max(end for segment in bars.lines[2][0].get_segments() for end in segment[:, 1]) <= 1


def test_large_pictures_are_thinned():
    dataset = make_images(side=900, count=6)
    assert max(as_picture(dataset, 0).shape) <= MAX_SIDE
    assert max(mosaic(dataset, [(0.0, [np.arange(3)])], 3, 1.3).shape[:2]) <= 3 * MAX_SIDE


def test_models_at_chance_are_said_to_be():
    dataset = make_images()
    words = "it is not shown that the models are right"
    right = np.array([np.full(60, 0.9), np.full(60, 0.9)])
    assert words not in summarize(dataset, make_scores(dataset, scores_by_ratio=right))
    # A little above the third that is of the most frequent class: chance alone is often as much.
    right[1, :] = np.arange(60) % 5 < 2
    said = summarize(dataset, make_scores(dataset, scores_by_ratio=right))
    assert f"at ratio 0.7 {words}" in said


def test_labels_that_the_inputs_do_not_tell_are_said_to_be_at_chance():
    warned, rng = 0, np.random.default_rng(0)
    dataset = make_images()
    for _ in range(100):
        right = rng.binomial(10, 1 / 3, (2, 60)) / 10
        said = summarize(dataset, make_scores(dataset, scores_by_ratio=right))
        warned += "at ratio 0.3, 0.7 it is not shown" in said
    assert warned >= 90


def test_the_summary_says_how_many_more_share_the_last_score_listed():
    dataset, values = make_images(), np.r_[np.zeros(2), np.full(8, 0.25), np.ones(50)]
    said = summarize(dataset, make_scores(dataset, scores=values))
    assert "\n5 more examples of the same C-score, 0.250, not listed\n" in said
    assert "not listed" not in summarize(dataset, make_scores(dataset, scores=np.linspace(0, 1, 60)))


def test_examples_of_the_highest_score_are_not_drawn_among_the_lowest():
    scores = make_scores(make_images(), scores=np.r_[0.2, 0.5, np.ones(58)])
    assert below_the_highest(scores, np.array([0, 1, 7])).tolist() == [0, 1]
    alike = make_scores(make_images(), scores=np.ones(60))
    assert below_the_highest(alike, np.array([0, 7])).tolist() == [0, 7]


def test_the_histogram_says_its_n():
    dataset = make_images()
    figure = draw_histogram(dataset, make_scores(dataset))
    assert figure.axes[0].get_title() == "set: n = 60 examples"
    assert "10 runs" in figure.axes[1].get_title()


@pytest.mark.parametrize(
    "count", [pytest.param(6, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.slow), 40_000]
)
def test_the_axes_of_the_histogram_are_numbered_in_plain_text(count, tmp_path):
    dataset = make_images(side=1, count=count)
    figure = draw_histogram(dataset, make_scores(dataset, scores=np.full(count, 0.99)))
    write_figure(figure, tmp_path / "a.png")
    low, high = figure.axes[0].get_ylim()
    drawn = [(tick.get_loc(), tick.label1.get_text()) for tick in figure.axes[0].yaxis.get_major_ticks()]
    seen = [text for place, text in drawn if low <= place <= high]
    assert "1" in seen
    assert all(text.replace(",", "").isdigit() for text in seen)


def test_the_histogram_bears_one_run_and_diverged_runs():
    dataset = make_images()
    draw_histogram(dataset, make_scores(dataset, heldout_accuracy=np.array([[0.5], [0.6]])))
    some = np.array([[0.5, np.nan, 0.6], [0.5, 0.6, 0.7]])
    assert "2 to 3 runs" in draw_histogram(dataset, make_scores(dataset, heldout_accuracy=some)).axes[1].get_title()


def test_the_summary_carries_n_with_every_number():
    dataset = make_images()
    scores = make_scores(dataset)
    text = summarize(dataset, scores)
    lowest = scores.least_regular(1)[0]
    assert f"{scores.ids[lowest]}  {dataset.class_names[scores.labels[lowest]]}  " in text
    assert text.count("(10)") == 2 + 5, "runs at each ratio, observations of each example"
    assert "over 10 random halvings" in text


def test_the_summary_tells_of_diverged_models_and_missing_scores():
    dataset = make_images()
    values = make_scores(dataset).scores
    values[:4] = np.nan
    scores = make_scores(dataset, scores=values, stderr=np.full(60, np.nan), reliability=np.empty(0))
    scores = dataclasses.replace(scores, metadata={**scores.metadata, "diverged": 3})
    text = summarize(dataset, scores)
    assert "3 models diverged and are left out" in text
    assert "4 of 60 examples were never held out" in text
    assert "[unknown]" in text
    assert "unknown" in describe_reliability(scores)


def test_least_regular_leaves_out_what_has_no_score():
    dataset = make_images(count=6)
    scores = make_scores(dataset, scores=np.array([np.nan, 0.5, 0.1, np.nan, 0.9, 0.3]))
    assert scores.least_regular(3).tolist() == [2, 5, 1]
    assert scores.least_regular(99).tolist() == [2, 5, 1, 4]


def test_halves_that_disagree_are_no_reliability():
    scores = dataclasses.replace(make_scores(make_images()), reliability=np.array([-1.9, -1.9, -1.9 + 1e-12]))
    text = describe_reliability(scores)
    assert text.startswith(
        "split-half reliability (Spearman-Brown): none, the halves do not agree over the one halving"
    )
