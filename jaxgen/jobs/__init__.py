"""From a spec to trained runs, for every experiment alike; nothing here knows an experiment by name.

A `program.Program` is a set of settings that one compiled program serves; `layout` chooses its width and kernels,
`trainer` trains its chunks, `missing_runs` what the store lacks, `run` all programs of a job. `experiment` holds the
protocol that an experiment follows and the one `run` for all of them.
"""
