"""What is written for people, by every experiment alike: tables, statements, files, the console.

`tables` has means, standard deviations and Markdown; `statements` decides when a difference is stated; `files` writes
a report and its flag file; `console` prints.
"""
