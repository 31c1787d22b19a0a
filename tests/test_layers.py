"""The house rules: imports point down, effects stay at the edge, files and functions fit in the head."""

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

import jaxgen

PACKAGE = pathlib.Path(jaxgen.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ENTRIES = {"cscore", "compare", "mislabelled", "randomization", "robustness", "oversampling", "lnr", "report", "bench"}
WORDS = {"config", "types", "errors", "wording", "notebook", "keys"}
PURE = {"models", "transforms", "scores", "training", "hashing"}
FLAGS = {"config.flags", "config.flag_files"}
BELOW = {"words", "pure", "io", "runs", "data", "views"}

# What each layer may import of jaxgen, beside itself.
ALLOWED = {
    "words": set(),
    "pure": {"words"},
    "engine": {"words", "pure"},
    "io": {"words"},
    "runs": {"words", "pure", "io"},
    "data": {"words", "pure", "io"},
    "views": {"words", "pure", "io"},
    "flags": {"words"},
    "reporting": {*BELOW, "flags"},
    "jobs": {*BELOW, "engine", "flags", "reporting"},
    "experiments": {*BELOW, "engine", "flags", "reporting", "jobs"},
    "benchmarks": {*BELOW, "engine", "flags", "reporting", "jobs", "experiments"},
    "entries": {*BELOW, "engine", "flags", "reporting", "jobs", "experiments", "benchmarks"},
    "package": set(),
}
# A search for mislabelled examples is a C-score job with another report.
MAY_BUILD_ON = {"mislabelled": {"cscore"}}
# As many Python files as a folder, and the package itself, may have.
MOST_FILES, MOST_AT_THE_TOP = 25, 16


def layer(dotted: str) -> str:
    """The layer of a module by its name below `jaxgen`."""
    head = dotted.split(".")[0]
    if head in ("", "__main__"):
        return "package" if head == "" else "entries"
    if head in ENTRIES:
        return "entries"
    if dotted in FLAGS:
        return "flags"
    if head in WORDS:
        return "words"
    return "pure" if head in PURE else head


def dotted_name(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(tree: ast.AST) -> list[str]:
    """Modules below `jaxgen` that a module imports, anywhere in it; of a package's own names the package."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("jaxgen.")]
        elif isinstance(node, ast.ImportFrom) and node.module == "jaxgen":
            names += [f"jaxgen.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jaxgen."):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if is_module(name) else node.module for name in modules]
    return [name.removeprefix("jaxgen.") for name in names]


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or path.is_dir()


def test_text_files_are_utf_8_wherever_they_are_opened():
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--preview",
        "--select=PLW1514",
        "--output-format=concise",
        PACKAGE,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_imports_point_down(path):
    here = layer(dotted_name(path))
    for name in imported(ast.parse(path.read_text())):
        assert layer(name) in {here, *ALLOWED[here]}, f"{here} imports {name}"
        assert layer(name) != "entries", "entries are imported by nobody"


@pytest.mark.parametrize("path", sorted((PACKAGE / "experiments").rglob("*.py")), ids=dotted_name)
def test_no_experiment_imports_another(path):
    own = path.relative_to(PACKAGE / "experiments").parts[0]
    for name in imported(ast.parse(path.read_text())):
        if name.startswith("experiments."):
            other = name.split(".")[1]
            assert other in {own, *MAY_BUILD_ON.get(own, ())}, f"{own} imports {name}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda folder: folder.name)
def test_folders_are_small_and_say_what_they_hold(folder):
    files = list(folder.glob("*.py"))
    assert len(files) <= (MOST_AT_THE_TOP if folder == PACKAGE else MOST_FILES)
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(said.splitlines()) >= 3, f"{folder.name}/__init__.py says what lives there and how to add to it"


@pytest.mark.parametrize("path", [p for p in MODULES if layer(dotted_name(p)) in {"pure", "engine"}], ids=dotted_name)
def test_pure_and_engine_modules_touch_nothing_outside(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}
        if isinstance(node, ast.Attribute):
            assert not (isinstance(node.value, ast.Name) and node.value.id in {"np", "numpy"} and node.attr == "random")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            assert not {"time", "datetime", "random", "os", "pathlib", "absl", "absl.flags"} & set(names)


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    is_entry = layer(dotted_name(path)) == "entries"
    assert text.count("\n") <= (60 if is_entry else 300)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            size = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert size <= 45, f"{node.name} has {size} lines"


def public_things(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Classes, functions and methods without an underscore."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_things(node.body)


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_public_things_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "module docstring"
    assert [node.name for node in public_things(tree.body) if not ast.get_docstring(node)] == []


def test_no_test_module_imports_another():
    """What two of them need stands in tests/support/."""
    importing = {path.name: path.read_text() for path in pathlib.Path(__file__).parent.rglob("*.py")}
    pattern = re.compile(r"^\s*(from|import) (\S*\.)?(test_\w+|conftest)\b", re.MULTILINE)
    assert len(importing) > 70
    assert [name for name, text in importing.items() if pattern.search(text)] == []
