"""What ``python -m jaxgen.bench`` measures: ratios to what a user would otherwise do, contenders taking turns.

Each module is one measure, a function of the spec that returns the text to show; it is listed in `MEASURES` below.
`interleaved` lets contenders take turns in fresh processes, `sequential` trains one model at a time as a plain script
does.
"""
