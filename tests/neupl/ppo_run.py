"""A tiny training run with PPO, in blocks, as a command, and what it leaves."""

import subprocess
import time
from pathlib import Path

from safetensors.numpy import load_file

PPO_SETTINGS = (
    "learner.kind=ppo", "learner.episodes=256", "learner.minibatch=512", "learner.blocks=4",
    "evaluation.episodes=128", "evaluation.blocks=3", "evaluation.final_episodes=2000",
    "population.size=3",
    "network.hidden_sizes=[8]", "network.embedding_size=4", "network.critic_hidden_size=4",
    "training.evaluate_every=2", "training.max_steps_per_row=2",
    "training.checkpoint_every_s=0",
)  # fmt: skip
PATIENCE_S = 600


def ppo_run(steps: int) -> tuple[str, ...]:
    """Options of the run."""
    settings = (*PPO_SETTINGS, f"training.steps={steps}")
    options = (part for setting in settings for part in ("--set", setting))
    return ("--game", "kuhn_poker", "--quiet", "--json", *options)


def arrays_of(path: Path) -> dict[str, bytes]:
    """All that the last checkpoint of a run carries."""
    [newest] = sorted(path.glob("checkpoints/step-*.safetensors"))[-1:]
    return {name: array.tobytes() for name, array in load_file(newest).items()}


def wait_for_step(process: subprocess.Popen[str], path: Path, step: int) -> None:
    """Waits until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not any(_step(file) >= step for file in path.glob("checkpoints/step-*.json")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _step(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))
