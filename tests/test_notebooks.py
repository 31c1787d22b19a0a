"""Every notebook runs from top to bottom, from a clean folder."""

import pathlib
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_notebook_runs(path, tmp_path, monkeypatch):
    # It trains for long enough to be worth compiling well.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")
    shutil.copy(path, tmp_path / path.name)
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
    pictures = [
        output
        for run_group in notebook.run_groups
        for output in run_group.get("outputs", [])
        if "image/png" in str(output)
    ]
    assert pictures


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_notebook_is_committed_as_it_ran(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [run_group for run_group in notebook.run_groups if run_group.cell_type == "code"]
    assert all(run_group.execution_count for run_group in code), "commit it executed, so that readers see its pictures"
    assert not any(output.output_type == "error" for run_group in code for output in run_group.outputs)
