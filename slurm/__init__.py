"""Sweeps on a Slurm cluster, through submitit."""
