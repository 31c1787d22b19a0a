"""Reports, shared by all experiments.

`tables` formats means, standard deviations and Markdown; `statements` decides which differences are stated; `report`
and `files` write a report and its flag file; `console` prints.
"""
