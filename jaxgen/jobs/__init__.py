"""From a spec to trained runs, for every experiment alike; nothing here knows an experiment by name.

`experiment` holds the protocol that an experiment follows and the one `run` for all of them. An experiment's `job`
makes programs (`program.Program`: settings that one compiled program serves) and a `workload.Workload` (data, programs,
run groups, identity and store). Most have one member for each run of each setting: `member_table`.

Each of these calls the next:

1. `run.train_workload`: all programs of a job;
2. `train.train_program`: one of them, whose width and kernels `layout` chooses;
3. `missing_runs.train_missing_runs`: the runs that the store lacks;
4. `trainer.Trainer` on the local devices, or `ray_trainer` on a cluster;
5. `jaxgen.runs.launch.train_chunks`, which writes each chunk to the store, and `jaxgen.engine.ensemble.Ensemble`.
"""
