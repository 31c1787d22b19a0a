"""The house rules: imports point down, effects stay at the edge, files and functions fit in the head."""

import ast
import pathlib

import pytest

import jaxgen

PACKAGE = pathlib.Path(jaxgen.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ENTRIES = {"cscore", "compare", "mislabelled", "randomization", "robustness", "oversampling", "lnr", "report", "bench"}
WORDS = {"spec", "sweep", "types", "errors", "notebook"}
PURE = {"models", "transforms", "scores", "optim", "schedules", "losses", "metrics", "hashing"}
FILES = {"arrays", "writing"}

# What each layer may import of jaxgen, beside itself.
ALLOWED = {
    "words": {"words"},
    "pure": {"words", "pure"},
    "engine": {"words", "pure", "engine"},
    "files": {"words", "files"},
    "runs": {"words", "pure", "files"},
    "data": {"words", "pure", "files"},
    "views": {"words", "pure", "files"},
    "flagfiles": {"words"},
    "flags": {"words", "flagfiles"},
    "experiments": {"words", "pure", "engine", "runs", "data", "views", "flags", "files", "experiments"},
    "entries": {"words", "pure", "engine", "runs", "data", "views", "flags", "files", "experiments"},
    "package": set(),
}


def layer(dotted: str) -> str:
    """The layer of a module by its name below `jaxgen`."""
    head = dotted.split(".")[0]
    if head == "":
        return "package"
    if head in ENTRIES:
        return "entries"
    if head in WORDS:
        return "words"
    if head in FILES:
        return "files"
    return "pure" if head in PURE else head


def dotted_name(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(tree: ast.AST) -> list[str]:
    """Names below `jaxgen` that a module imports, anywhere in it."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("jaxgen.")]
        elif isinstance(node, ast.ImportFrom) and node.module == "jaxgen":
            names += [f"jaxgen.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jaxgen."):
            names.append(node.module)
    return [name.removeprefix("jaxgen.") for name in names]


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_imports_point_down(path):
    here = layer(dotted_name(path))
    own = dotted_name(path).split(".")[0]
    for name in imported(ast.parse(path.read_text())):
        same_package = name.split(".")[0] == own
        assert same_package or layer(name) in ALLOWED[here], f"{here} imports {name}"
        assert layer(name) != "entries", "entries are imported by nobody"


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


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_public_things_have_docstrings(path):
    tree = ast.parse(path.read_text())
    if path.stat().st_size:
        assert ast.get_docstring(tree), "module docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
