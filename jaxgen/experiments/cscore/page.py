"""The HTML page of a finished C-score job: its scores, and its examples, which are read again."""

import pathlib
from collections.abc import Callable

from jaxgen.config import DataSpec, ReportSpec, flags
from jaxgen.config.fields import flag_values
from jaxgen.data import load_dataset
from jaxgen.data.score_files import NAME, load_scores
from jaxgen.errors import UserError
from jaxgen.io.writing import write_durably
from jaxgen.types import Dataset, Scores
from jaxgen.views.page.render import render_report

FLAGS, PAGE = "flags.cfg", "report.html"


def write_report(spec: ReportSpec, log: Callable[[str], None]) -> pathlib.Path:
    """Writes the page atomically into the job's folder; returns its path.

    Raises:
      UserError: if there are no results, they cannot be read, or the page cannot be written.
    """
    folder = pathlib.Path(spec.run_dir)
    scores = load_scores(find_scores(folder))
    dataset, note = find_examples(scores, spec)
    if note:
        log(note)
    flagfile = "\n".join(f"--{name}={value}" for name, value in scores.metadata.get("flags", {}).items())
    if (folder / FLAGS).is_file():
        flagfile = (folder / FLAGS).read_text(errors="replace")
    page = render_report(scores, dataset, flagfile=flagfile, notes=[note] if note else [])
    path = folder / PAGE
    try:
        # Class names may hold lone surrogates, which UTF-8 cannot encode.
        write_durably(path, page.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room, or move what is in the way"
        ) from None
    return path


def find_scores(folder: pathlib.Path) -> pathlib.Path:
    """The path of the score file in a job's folder.

    Raises:
      UserError: if there is none.
    """
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "there is no such folder"
        raise UserError(f"{folder}: {problem}; give the folder of a finished job, such as runs/cscore_digits")
    if (folder / NAME).is_file():
        return folder / NAME
    if settings := sorted(folder.glob(f"settings/*/{NAME}")):
        raise UserError(
            f"{folder}: holds {len(settings)} settings, and a page is of one; give its folder, such as "
            f"{settings[0].parent}"
        )
    raise UserError(
        f"{folder}: holds no {NAME}; give the folder of a job of jaxgen.cscore or jaxgen.mislabelled that is done"
    )


def find_examples(scores: Scores, spec: ReportSpec) -> tuple[Dataset | None, str]:
    """The data set that was scored; or None and the reason why it cannot be read.

    Raises:
      UserError: if ``--dataset`` is given and cannot be read, or holds other data than were scored.
    """
    given = {name: value for name in ("dataset", "data_dir") if (value := getattr(spec, name))}
    recorded = {
        name: text for name, text in scores.metadata.get("flags", {}).items() if name in flag_values(DataSpec())
    }
    try:
        data_spec = flags.parse(DataSpec, [f"--{name}={text}" for name, text in {**recorded, **given}.items()])
        # Nothing is downloaded because a score file says so.
        dataset = load_dataset(data_spec, fetch=bool(given))
        same = len(dataset.labels) == len(scores.labels) and dataset.num_classes == len(scores.class_names)
        if same and dataset.fingerprint == scores.metadata.get("fingerprint"):
            return dataset, ""
        reason = f"--dataset={data_spec.dataset}: holds other data than were scored"
    except UserError as error:
        reason = str(error)
    if given:
        raise UserError(reason)
    return None, f"No pictures, because the data cannot be read again. {reason}. --dataset=... says where they are now."
