"""``--launcher=distributed``: processes on several machines, each training one shard on its own devices.

`jax.distributed` finds the processes from the variables of Slurm, GKE, Cloud TPU and others; no collectives are used.
All processes write to one store in a shared folder. If a machine is lost the job ends, and the same command resumes it.
"""

import dataclasses
import time
from typing import Any

from jaxgen.config import ComputeSpec
from jaxgen.errors import Unfinished, UserError, first_line
from jaxgen.runs.plan import count_runs
from jaxgen.runs.store import Store

# Seconds between two reads of the store while waiting for others, at first and at most: many processes read one folder.
POLL_SECONDS, MAX_POLL_SECONDS = 1.0, 30.0
# Seconds that a finished process waits for process 0, which writes the results.
SHUTDOWN_SECONDS = 7 * 24 * 3600


def join_processes(spec: Any) -> Any:
    """With ``--launcher=distributed``, waits for all processes and sets ``--shard`` to this one's; else returns `spec`.

    Raises:
      UserError: if the processes cannot be found from the environment, or ``--shard`` is given too.
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
            jax.distributed.initialize(shutdown_timeout_seconds=SHUTDOWN_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--launcher=distributed: this process cannot join others ({first_line(error)}); start it by "
            "srun, on GKE or on a Cloud TPU, or use --shard=i/n on a shared folder"
        ) from None
    shard = f"{jax.process_index()}/{jax.process_count()}"
    return dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, shard=shard))


def await_others(store: Store, compute: ComputeSpec) -> None:
    """Waits until the other processes have trained their shards.

    Raises:
      Unfinished: in all processes but process 0, which writes the results.
    """
    interval = POLL_SECONDS
    while any(count_runs(store.missing()).values()):
        time.sleep(interval)
        interval = min(1.2 * interval, MAX_POLL_SECONDS)
    index, count = compute.shard.split("/")
    if index != "0":
        raise Unfinished(f"process {index} of {count}: all shares are done; process 0 writes the results")
