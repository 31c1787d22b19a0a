"""What test modules share: data to train on, commands as typed, a browser, forged files, small jobs and their records.

No test module imports another: what two of them need stands here, in a file named after what it makes.
Tests import it as `from support.commands import type_in`.
"""
