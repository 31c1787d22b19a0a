"""The HTML page with all scores and examples of a job: a single file that needs no server and no network.

`render.render_report` fills the template ``page.html`` with the scripts and styles of this folder and with the data of
`data.make_page_data`: arrays encoded by `packing`, images by `sprites`, plots by `plots`. A new score in the registry
adds a column. To add a panel, write a script here and include it in ``page.html``.
"""
