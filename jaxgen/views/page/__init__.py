"""The page that shows all scores of a job and its examples: one HTML file that needs no server and no network.

`render.render_report` fills ``page.html`` with the scripts and styles beside it and with `data.make_page_data`:
columns packed by `packing`, pictures by `sprites`, plots by `plots`. A new column comes from a new score's registry
line; a new panel is a script here and its place in ``page.html``.
"""
