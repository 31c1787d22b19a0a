"""jaxgen: train hundreds to thousands of small models at once, and learn from what they got right.

`estimate_scores` and the entries `python -m jaxgen.cscore` and `python -m jaxgen.bench` are the way in.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Scores",
    "UserError",
    "__version__",
    "estimate_scores",
    "estimate_settings",
    "find_mislabelled",
    "load_model",
    "load_scores",
]

# Loaded when first asked for: the command line answers --help and refuses wrong flags before JAX is imported.
_HOMES = {
    "Scores": "jaxgen.types",
    "UserError": "jaxgen.errors",
    "estimate_scores": "jaxgen.experiments.cscore.call",
    "estimate_settings": "jaxgen.experiments.cscore.call",
    "find_mislabelled": "jaxgen.experiments.mislabelled.search",
    "load_model": "jaxgen.runs.saved_models",
    "load_scores": "jaxgen.data.score_files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxgen' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
