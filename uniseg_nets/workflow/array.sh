#!/bin/bash
# Segments the cases of cases.json as a Slurm array. A job loads the network once; a job that is started again does
# what is left of its part. Afterwards: uniseg merge $output
#SBATCH --array=1-$parts
#SBATCH --job-name=uniseg
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A_%a.log
export OMP_NUM_THREADS=$${SLURM_CPUS_PER_TASK:-1}
uniseg segment cases.json $output $options --shared --part $parts && exit
# Status 3: the part is done, and some of its scans are faulty. Everything else is tried again, three times.
[ $$? -eq 3 ] && exit
[ "$${SLURM_RESTART_COUNT:-0}" -lt 3 ] && scontrol requeue "$${SLURM_ARRAY_JOB_ID}_$$SLURM_ARRAY_TASK_ID"
