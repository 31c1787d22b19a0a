"""Files of scores, memorization, influence and runs that others published: their layouts, and ids that match ours.

`scores` reads a file of values for examples or pairs (`pairs`, `pickled`), `run_files` and `margin_files` read folders
of runs. A new layout is a function in one of them, chosen by the names of its arrays, and a case in the tests of
`jaxgen.compare`.
"""
