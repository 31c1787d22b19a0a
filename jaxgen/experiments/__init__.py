"""One folder an experiment, with the same few files in each.

``job`` is what is refused and what is to be trained, ``measure`` (or ``collect``) makes a row of each trained member,
``report`` writes tables, statements and figures, ``takeaways`` holds the statements, ``figures`` the pictures. A new
experiment is such a folder, a spec in `jaxgen.config.commands`, and a command of a few lines beside the others.
"""
