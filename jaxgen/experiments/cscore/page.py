"""The page of a finished C-score job: its scores, and its examples read from their source once more."""

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
    """Writes the page beside the job's results, whole or not at all; returns its path.

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
        # A class name of the user's may hold what UTF-8 cannot: half a surrogate pair.
        write_durably(path, page.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room, or move what is in the way"
        ) from None
    return path


def find_scores(folder: pathlib.Path) -> pathlib.Path:
    """The score file of a job's folder.

    Raises:
      UserError: if there is none, saying what to give instead.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise UserError(f"{folder}: {what}; give the folder of a finished job, such as runs/cscore_digits")
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
    """The data set that was scored, or None and a line that says why it cannot be shown.

    Scores are worth showing without their pictures. But a source that the user names must be the right one.

    Raises:
      UserError: if ``--dataset`` names data that cannot be read, or others than were scored.
    """
    given = {name: value for name in ("dataset", "data_dir") if (value := getattr(spec, name))}
    kept = {name: text for name, text in scores.metadata.get("flags", {}).items() if name in flag_values(DataSpec())}
    try:
        asked = flags.parse(DataSpec, [f"--{name}={text}" for name, text in {**kept, **given}.items()])
        # A file of scores alone has nothing fetched, wherever it says that its data are.
        dataset = load_dataset(asked, fetch=bool(given))
        same = len(dataset.labels) == len(scores.labels) and dataset.num_classes == len(scores.class_names)
        if same and dataset.fingerprint == scores.metadata.get("fingerprint"):
            return dataset, ""
        said = f"--dataset={asked.dataset}: holds other data than were scored"
    except UserError as error:
        said = str(error)
    if given:
        raise UserError(said)
    return None, f"No pictures, because the data cannot be read again. {said}. --dataset=... says where they are now."
