"""From a spec to trained runs, for every experiment alike; nothing here knows an experiment by name.

`experiment` holds the protocol that an experiment follows and the one `run` for all of them. An experiment's `job`
makes programs (`program.Program`: settings that one compiled program serves) and a `workload.Workload` (data, programs,
run groups, identity and store). Most have one member for each run of each setting: `member_table`.

Training goes down a level at a time: `run.train_workload` (all programs of a job) calls `train.train_program`, that
`missing_runs.train_missing_runs` (what the store lacks), that a `trainer.Trainer` (chunks on the local devices;
`ray_trainer` on a cluster), and that `jaxgen.engine.ensemble.Ensemble`. `layout` chooses a program's width and kernels.
"""
