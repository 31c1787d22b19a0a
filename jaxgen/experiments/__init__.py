"""One folder an experiment, with the same few files in each.

``experiment`` joins the parts as `jaxgen.jobs.experiment.Experiment`, which a command runs: begin there. ``job`` says
what is refused and what is to be trained. ``run`` trains it and measures the results, ``measure`` makes a row of each
trained member (of C-scores, ``collect`` makes the scores of each setting), ``report`` writes tables, statements and
figures, ``takeaways`` holds the statements, ``figures`` the pictures. A new experiment is such a folder, a spec in
`jaxgen.config.commands`, a command of a few lines beside the others, and an entry in
``tests/experiments/test_protocol.py``, which asserts what each must do.
"""
