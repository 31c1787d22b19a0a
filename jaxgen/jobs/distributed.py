"""Processes that one launcher starts on several machines: each trains a share of the models, on its own devices.

JAX finds out who they are (Slurm, GKE, Cloud TPU and others set variables), and that all are there; of its collectives
nothing is used. A machine that is lost ends the job, and its store, on a folder that all machines share, goes on.
"""

import dataclasses
import time
from typing import Any

from jaxgen.config import ComputeSpec
from jaxgen.errors import Unfinished, UserError
from jaxgen.runs.plan import count_runs
from jaxgen.runs.store import Store

# Seconds between two looks at what the others have done, at first and at most: many look at one folder.
LOOK, LONGEST_LOOK = 1.0, 30.0
# Seconds for which a process that is done waits for the one that writes the results.
PATIENCE = 7 * 24 * 3600


def joined(spec: Any) -> Any:
    """The flags of this process: with ``--launcher=distributed`` those of its share, after all have found each other.

    Raises:
      UserError: if nothing tells who the others are.
    """
    if spec.compute.launcher != "distributed":
        return spec
    if spec.compute.shard:
        raise UserError(
            f"--shard={spec.compute.shard}: --launcher=distributed gives each process its share; leave one of them out"
        )
    import jax

    try:
        if not jax.distributed.is_initialized():
            jax.distributed.initialize(shutdown_timeout_seconds=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--launcher=distributed: this process cannot join others ({str(error).splitlines()[0]}); start it by "
            "srun, on GKE or on a Cloud TPU, or use --shard=i/n on a shared folder"
        ) from None
    share = f"{jax.process_index()}/{jax.process_count()}"
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, shard=share))


def await_others(store: Store, compute: ComputeSpec) -> None:
    """Waits until the other processes have done their shares; all but the first end here.

    Raises:
      Unfinished: in all others, for it is the first that writes the results.
    """
    look = LOOK
    while any(count_runs(store.missing()).values()):
        time.sleep(look)
        look = min(1.2 * look, LONGEST_LOOK)
    index, count = compute.shard.split("/")
    if index != "0":
        raise Unfinished(f"process {index} of {count}: all shares are done; process 0 writes the results")
