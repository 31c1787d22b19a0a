"""Arrays from files and back: safe readers for files of any origin, writes that survive a crash.

`arrays` compares the size that a file's header claims with the bytes that are there; `writing` writes a temporary file,
syncs it and renames it. A reader that more than one package needs belongs here; the layouts of data sets belong to
`data`.
"""
