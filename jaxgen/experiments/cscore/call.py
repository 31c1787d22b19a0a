"""C-scores of the user's own arrays: `python -m jaxgen.cscore` as functions."""

import os
from typing import Any

from jaxgen.config import CscoreSpec
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.pilot import choose_training
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.jobs.python_call import spec_of_call
from jaxgen.jobs.session import QUIET, Session, tell_of_data
from jaxgen.reporting.console import log
from jaxgen.types import Scores


def estimate_scores(images: Any, labels: Any = None, **arguments: Any) -> Scores:
    """C-scores of the user's own arrays: `python -m jaxgen.cscore` as a function.

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features, as an array, a tensor
        or nested lists; or a frame of pandas or polars, of columns of numbers, booleans or categories; or a data set of
        Hugging Face, or of pairs (image, label) as those of PyTorch.
      labels: ``[n]`` integers or text, or one-hot ``[n, c]``; or a series; or the name of a column of `images`. None
        for data sets that bring their own.
      **arguments: those of `estimate_settings`; every flag has one value.

    Returns:
      The scores, one an example.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    by_setting = estimate_settings(images, labels, **arguments)
    if len(by_setting) > 1:
        raise UserError(f"{len(by_setting)} settings: these flags hold lists; jaxgen.estimate_settings takes them")
    [scores] = by_setting.values()
    return scores


def estimate_settings(
    images: Any,
    labels: Any = None,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    class_names: Any = None,
    ids: Any = None,
    out: str | os.PathLike | None = None,
    progress: bool = False,
    **flags: Any,
) -> dict[str, Scores]:
    """C-scores of the user's own arrays at every setting that lists in the flags span.

    Args:
      images: ``[n, h, w]`` or ``[n, h, w, d]`` images (uint8, or floats), or ``[n, f]`` features, as an array, a tensor
        or nested lists; or a frame of pandas or polars, of columns of numbers, booleans or categories; or a data set of
        Hugging Face, or of pairs (image, label) as those of PyTorch.
      labels: ``[n]`` integers or text, or one-hot ``[n, c]``; or a series; or the name of a column of `images`. None
        for data sets that bring their own.
      test_images, test_labels: the same for a test set, whose answers are kept with the runs.
      class_names: ``[c]`` names, if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text that name the examples.
      out: folder for finished runs, so that the same call resumes or extends them; without it nothing is kept.
      progress: whether to show progress on standard error.
      **flags: flags of the command line by name, those of the data left out, with Python values: ``num_runs=20``,
        ``subset_ratios=(0.3, 0.7)``, ``hidden=(128, 64)``, ``weight_decay=(0.0, 1e-4)``, ``design="nested"``.

    Returns:
      The scores of each setting by its name, such as ``weight_decay=0.0001``; ``""`` if there is but one.

    Raises:
      UserError: for arguments or data that cannot be used.
    """
    with spec_of_call(CscoreSpec, "jaxgen.cscore", flags, out) as spec:
        dataset = dataset_of_call(
            images,
            labels,
            test_images=test_images,
            test_labels=test_labels,
            class_names=class_names,
            ids=ids,
            spec=spec.data,
        )
        session = tell_of_data(dataset, Session(QUIET.resume, log if progress else None))
        results = score_settings(*choose_training(dataset, spec, session), session)
    return {setting.name: scores for setting, scores in results}
