"""Arrays from files and back: safe readers for files of any origin, writes that survive a crash.

`arrays` compares the size that a file's header claims with the bytes that are there; `writing` writes a temporary file,
syncs it and renames it. A new format of arrays gets a reader here if more than one folder reads it; the layouts of data
sets belong to `data`.
"""
