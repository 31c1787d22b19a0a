#!/bin/bash
# CIFAR-10 C-scores by a Slurm job array: sixteen shares of one job on a folder that all nodes see.
#
#   sbatch configs/slurm_array.sh
#
# A task that is lost or preempted is queued again and goes on. The last to finish writes the results; so does, at any
# time later, the same command with --aggregate_only in place of --shard.
#SBATCH --job-name=cscore
#SBATCH --array=0-15
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120

exec python -m jaxgen.cscore --flagfile=configs/cscore_cifar10_convnet.cfg --num_examples=0 --num_runs=200 \
  --out="${SHARED:-$HOME}/cscore_cifar10" --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
