"""Plays an episode of running-with-scissors and draws it, as an animated GIF or as text.

Players are strategies of a trained population (`RUN#k`, `RUN#nash`) or functions such as
`games.running_with_scissors.bots:collect_rocks`; both are loaded by name.
"""

import argparse
import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from games.registry import is_dotted_path, load_game
from games.running_with_scissors.drawing import draw, draw_text
from games.running_with_scissors.rules import payoff
from neupl.population import load_population

FRAME_MS = 120
LAST_FRAME_MS = 2000


def load_player(name: str, seat: int):
    """`(observation [O], mask [A], key) -> action`, for one episode."""
    if is_dotted_path(name):
        module, _, function = name.partition(":")
        probabilities = jax.jit(getattr(importlib.import_module(module), function))
        return lambda seen, mask, key: jax.random.categorical(
            key, jnp.log(probabilities(seen, mask))
        )
    path, _, member = name.rpartition("#")
    policy = load_population(path).policy("nash" if member == "nash" else int(member), seat=seat)
    memory = policy.initial_memory(1)

    def act(seen, mask, key):
        nonlocal memory
        action, _, memory = policy.act(memory, seen[None], mask[None], key)
        return action[0]

    return act


def play(game, players, key):
    """Yields `(state, actions)` at every step, and at last `(end, None)`."""
    start_key, play_key = jax.random.split(key)
    observe, step = jax.jit(game.observe), jax.jit(game.step)
    state = game.init(start_key)
    now = game.restart(state)
    for step_key in jax.random.split(play_key, game.info.max_steps):
        if now.discount == 0:
            break
        keys = jax.random.split(step_key, len(players))
        actions = [
            int(player(observe(state, seat), now.legal_mask[seat], keys[seat]))
            for seat, player in enumerate(players)
        ]
        yield state, actions
        state, now = step(state, jnp.array(actions, jnp.int32), step_key)
    yield state, None


def main() -> None:
    """Reads the command line, plays, and writes or prints the film."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("players", nargs=2, help="RUN#k, RUN#nash or package.module:function")
    parser.add_argument("--game", default="running_with_scissors", help="with its parameters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a .gif; without it the episode is printed")
    options = parser.parse_args()
    game = load_game(options.game)
    players = [load_player(name, seat) for seat, name in enumerate(options.players)]
    frames = []
    for state, actions in play(game, players, jax.random.key(options.seed)):
        if options.out is None:
            print(draw_text(state), end="\n\n")
        else:
            frames.append(draw(state, actions))
    returns = np.asarray(payoff(state.inventory)).round(2).tolist()
    print(f"{int(state.steps)} steps, returns {returns}")
    if options.out is not None:
        from PIL import Image

        first, *others = map(Image.fromarray, frames)
        durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
        first.save(options.out, save_all=True, append_images=others, duration=durations, loop=0)


if __name__ == "__main__":
    main()
