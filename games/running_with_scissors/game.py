"""Running-with-scissors as a `Game`: what a player observes, and the static facts.

What is seen is that of the published films; how it is written as numbers is our own, and that
neither the time nor the trace of a missed beam is seen is an assumption.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Key

from games.running_with_scissors import rules
from games.running_with_scissors.rules import Action, State
from games.types import GameError, GameInfo, TimeStep

# Per cell of the view: rock, paper, scissors, wall, the other player.
NUM_PLANES = 5
# The planes, the facing of the other player, the own inventory.
OBSERVATION_SIZE = NUM_PLANES * len(rules.VIEW) + 4 + 3

# One player picked up rocks alone, the other scissors alone, 15 each: all there can be of the two,
# 12 fixed and 18 drawn. No pair of inventories pays more.
MAX_RETURN = rules.PAYOFF_SCALE * (15 / 18) ** 2


class RunningWithScissors:
    """Two players, zero-sum and symmetric; see `games.types.Game` for the contract and
    `games.running_with_scissors.rules` for the rules and what was assumed.
    """

    observation_kind = "egocentric_view"

    def __init__(self, *, step_limit: int = rules.STEP_LIMIT) -> None:
        """Raises `GameError` unless an episode may last at least one step."""
        if step_limit < 1:
            raise GameError(f"step_limit is {step_limit}: it must be at least 1")
        changed = "" if step_limit == rules.STEP_LIMIT else f"(step_limit={step_limit})"
        self.info = GameInfo(
            name=f"running_with_scissors{changed}",
            num_players=2,
            num_actions=(len(Action),) * 2,
            observation_size=(OBSERVATION_SIZE,) * 2,
            utility="zero_sum",
            symmetric=True,
            min_return=-MAX_RETURN,
            max_return=MAX_RETURN,
            max_steps=step_limit,
        )

    def init(self, key: Key[Array, ""]) -> State:
        """Returns the state of a new episode; consumes `key`."""
        return rules.start(key)

    def restart(self, state: State) -> TimeStep:
        """Returns the time step on arrival from `init`."""
        return _time_step(state.over, jnp.zeros(2, jnp.float32))

    def step(
        self, state: State, actions: Int32[Array, "2"], key: Key[Array, ""]
    ) -> tuple[State, TimeStep]:
        """Applies both actions; there is no chance in a step, and `key` is not read."""
        after = rules.advance(state, actions, step_limit=self.info.max_steps)
        ends = after.over & ~state.over
        return after, _time_step(after.over, jnp.where(ends, rules.payoff(after.inventory), 0.0))

    def observe(self, state: State, player: Int32[Array, ""] | int) -> Float32[Array, "87"]:
        """Returns what `player` observes, zeros at the end.

        Five planes of 16 cells in the order of `rules.VIEW` (rock, paper, scissors, wall, the other
        player); where the other player is seen, the clockwise quarter turns from the own facing to
        its facing, one-hot; and the binary logarithms of rocks, papers and scissors in the own
        inventory: 0 at the start, 1 after the first pick-up of a type; shares follow from their
        differences.
        """
        cells = rules.view_cells(state.position[player], state.facing[player])
        lying = rules.lying_at(state.resources, cells)
        kinds = jnp.arange(rules.ROCK, rules.WALL + 1, dtype=jnp.int8)
        other = (cells == state.position[1 - player]).all(axis=1)
        turns = (state.facing[1 - player] - state.facing[player]) % 4
        faces = (turns == jnp.arange(4)) & other.any()
        held = jnp.log2(state.inventory[player].astype(jnp.float32))
        seen = jnp.concatenate([(lying == kinds[:, None]).reshape(-1), other, faces, held])
        return jnp.where(state.over, 0.0, seen)


def _time_step(over, rewards) -> TimeStep:
    dummy = jnp.arange(len(Action)) == 0
    return TimeStep(
        rewards=rewards,
        discount=1.0 - over.astype(jnp.float32),
        to_move=jnp.broadcast_to(~over, (2,)),
        legal_mask=jnp.broadcast_to(~over | dummy, (2, len(Action))),
    )
