"""Arrays and tensors of any library as arrays of NumPy."""

from typing import Any

import numpy as np

from jaxgen.errors import UserError, first_line


def to_numpy(values: Any, what: str) -> np.ndarray:
    """Values as an array of NumPy, off any device and gradient; `what` is the user's name of them.

    Raises:
      UserError: if they have no common shape, or no type that NumPy knows.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.to_dense() if getattr(values, "is_sparse", False) else values
            # NumPy has no such type.
            values = values.float() if str(values.dtype).endswith("bfloat16") else values
        if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
            raise UserError(f"{what}: {int(np.ma.getmaskarray(values).sum()):,} values are masked; fill or drop them")
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{what}: are no array ({first_line(error)}); give one of NumPy, all rows alike") from None
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
