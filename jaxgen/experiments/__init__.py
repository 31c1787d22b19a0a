"""One folder an experiment, with the same few files in each.

``experiment`` joins the parts as `jaxgen.jobs.experiment.Experiment`, which a command runs: begin there. ``job`` says
what is refused and what is to be trained, ``run`` trains it, ``measure`` (or ``collect``) makes a row of each trained
member, ``report`` writes tables, statements and figures, ``takeaways`` holds the statements, ``figures`` the pictures.
A new experiment is such a folder, a spec in `jaxgen.config.commands`, a command of a few lines beside the others, and
an entry in ``tests/experiments/test_protocol.py``, which asserts what each must do.
"""
