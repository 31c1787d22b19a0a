"""Finished runs on disk and the training of missing ones: plans, stores, checkpoints, shards, workers.

`store.Store` keeps each chunk of a `plan.Plan` in one file, written atomically with a checksum. `launch.train_chunks`
trains missing chunks in this process, `launch.train_on_cluster` on the workers of a `worker_pool.WorkerPool`. Nothing
here knows what a run computes: another way to run chunks is another function beside these two in `launch`.
"""
