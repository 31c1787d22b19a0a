"""Data sets of Hugging Face: `hub` opens one by its name or from a folder, `splits` reads its columns.

Pictures, arrays, lists of numbers of one length, numbers, booleans and categories are read as in the other sources. The
label is the column ``--label_column``, or else the only one of the type ClassLabel. A new type of column is read in
`splits.read_rows`, or in `tables.features` if tables have it too.
"""
