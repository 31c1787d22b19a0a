"""What ``python -m jaxgen.bench`` measures: jaxgen beside what a user would otherwise do, on this machine.

Each module is one measure, or a few that share their contenders: functions of the `BenchSpec` that return the text to
show. `interleaved` lets contenders take turns, each in a process of its own; `sequential` trains one model after
another, as a plain script does; `engine` is jaxgen's side. A new measure is a module, a line in `measures` and a value
of ``--measure`` in `BenchSpec`.
"""
