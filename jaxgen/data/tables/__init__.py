"""Tables: `file` reads CSV and Parquet files, `names` finds labels and ids, `columns` and `features` read the rest.

Of a CSV file, `rows` finds out how it is written, and `text` reads the columns. `unnamed` tells an index from data
whose name is gone, `points` decimals from what may be thousands, and `words` is what these share.

A new kind of file becomes a `file.Table` in `file.read_table`; nothing else needs to know of it.
"""
