"""Learning from mirror images: what was right on the left is right on the right.

A game that is its own mirror image has an optimal policy that is, too. Each gradient step mirrors
half of its decisions, drawn anew, observation and action; they keep advantage and probability as
they were played, which are those of the mirror image as far as policy and critic are symmetric
already (data augmentation as in Mittal et al. 2024, "Symmetry considerations for learning task
symmetric robot policies", arXiv 2403.04359, without doubling the batch).
"""

import numpy as np
from jaxtyping import Float, Int

from games.types import Game, HostGame, Mirror
from neupl.errors import UserError
from neupl.learners.decisions import Decisions


def mirror_of(game: Game | HostGame) -> Mirror:
    """The mirror image of a game.

    Raises:
      UserError: it has none.
    """
    mirror = getattr(game, "mirror", None)
    if mirror is None:
        raise UserError(
            f"learner.symmetry is true, but {game.info.name} has no mirror image",
            hint="set learner.symmetry=false",
        )
    return mirror


def half_mirrored(decisions: Decisions, mirror: Mirror, rng: np.random.Generator) -> Decisions:
    """Decisions of which each is left alone or mirrored, with equal probability."""
    chosen = rng.random(len(decisions.action)) < 0.5
    observation, action = decisions.seen.observation.copy(), decisions.action.copy()
    observation[chosen] = mirrored(
        observation[chosen], mirror.observation_order, mirror.observation_sign
    )
    action[chosen] = mirrored(action[chosen], mirror.action_order, mirror.action_sign)
    return decisions._replace(seen=decisions.seen._replace(observation=observation), action=action)


def mirrored(
    numbers: Float[np.ndarray, "N O"], order: Int[np.ndarray, "O"], sign: Float[np.ndarray, "O"]
) -> Float[np.ndarray, "N O"]:
    """Observations or actions as the mirror image has them."""
    return numbers[:, order] * sign
