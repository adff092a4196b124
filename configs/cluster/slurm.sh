#!/usr/bin/env bash
# A Ray cluster inside a Slurm job, and one command on it. From a folder that all nodes share, with
# the virtual environment active:
#   sbatch --nodes=4 configs/cluster/slurm.sh train configs/leduc_poker.yaml --seeds 10 --out leduc
# One run whose episodes are played by all cores, and evaluated by them:
#   sbatch --nodes=4 configs/cluster/slurm.sh train configs/leduc_poker_ppo_64.yaml \
#     --set learner.blocks=64 --set evaluation.blocks=64 --out leduc-64
# A job that ran into its time limit goes on by:
#   sbatch --nodes=4 configs/cluster/slurm.sh resume leduc
#SBATCH --job-name=neupl
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
# When the end is near the command stops in order; runs go on from their last checkpoints.
#SBATCH --signal=B:TERM@120
set -euo pipefail

if [ "$#" -eq 0 ]; then
  echo "usage: sbatch $0 COMMAND [ARGUMENT ...], a command of neupl without --ray" >&2
  exit 2
fi
# Nobody else on these machines may start work on the cluster; the token is in the home folder.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_ip=$(srun --nodes=1 --ntasks=1 -w "${nodes[0]}" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))

srun --nodes=1 --ntasks=1 -w "${nodes[0]}" \
  ray start --head --node-ip-address="$head_ip" --port="$port" \
  --num-cpus="$SLURM_CPUS_PER_TASK" --block &
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 -w "$node" \
    ray start --address="$head_ip:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done
until ray status --address="$head_ip:$port" > /dev/null 2>&1; do sleep 1; done

neupl "$@" --ray "$head_ip:$port" &
work=$!
trap 'kill -TERM "$work"' TERM
# The first `wait` ends when the signal comes, the second one when the command has stopped.
wait "$work" || wait "$work"
