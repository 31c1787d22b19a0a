"""Tables: `file` reads CSV and Parquet files, `names` finds labels and ids, `columns` and `features` read the rest.

Of a CSV file, `rows` finds out how it is written, and `text` reads the columns.

A new kind of file becomes a `file.Table` in `file.read_table`; nothing else needs to know of it.
"""
