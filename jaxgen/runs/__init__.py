"""Finished work on disk, and who trains what is missing: stores, chunks, checkpoints, shards, workers.

`store.Store` keeps each chunk of a `plan.Plan` as one file, written atomically with a checksum; `launch.train_chunks`
trains the missing ones in this process and `worker_pool` on a Ray cluster. Nothing here knows what a run computes.
"""
