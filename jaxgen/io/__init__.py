"""Bytes to arrays and back: reading files that nobody vouches for, writing files that survive a crash.

`arrays` holds what a file's header claims against the bytes that are there; `writing` writes a temporary file, syncs
and renames it.
"""
