"""Tables: `file` reads CSV and Parquet files, `names` finds labels and ids, `columns` and `features` read the rest.

A new kind of file becomes a `file.Table` in `file.read_table`; nothing else needs to know of it.
"""
