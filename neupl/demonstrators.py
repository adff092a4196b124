"""Whom a network imitates (`learner.imitate`): a scripted policy, or a strategy of a population."""

import importlib
from pathlib import Path

from games.registry import is_dotted_path
from games.types import GameInfo, Policy
from neupl.errors import UserError
from neupl.population import Population
from neupl.stored_population import load_population

KEY = "learner.imitate"


def load_demonstrators(name: str, info: GameInfo) -> tuple[Policy, ...]:
    """The demonstrator of every seat of a game. Of a population with continuous actions the
    likeliest ones are shown.

    Args:
      name: `RUN`, `RUN#k`, or `package.module:function` that returns a `games.Policy`.
      info: of the game that it is to show.

    Raises:
      UserError: there is no such policy, or its observations or actions are not the game's.
    """
    if is_dotted_path(name):
        return (_scripted(name),) * info.num_players
    population, member = find_strategy(name, info, key=KEY)
    seats = range(info.num_players)
    if population.num_players != info.num_players:
        seats = (0,) * info.num_players
    return tuple(population.policy(member, seat=seat, likeliest=info.continuous) for seat in seats)


def find_strategy(name: str, info: GameInfo, *, key: str) -> tuple[Population, int]:
    """A strategy of a population by number.

    Args:
      name: `RUN` or `RUN#k`.
      info: of the game that it is to play.
      key: of the configuration, where the name was given.

    Raises:
      UserError: there is no such strategy, or its observations or actions are not the game's.
    """
    path, _, member = name.partition("#")
    population = load_population(Path(path))
    if not isinstance(population, Population):
        raise UserError(f"{key} is {name!r}: it has no strategies by number")
    if not (member or "0").isdigit() or int(member or 0) >= population.num_strategies:
        allowed = f"0 to {population.num_strategies - 1}"
        raise UserError(f"{key} is {name!r}: the strategy must be {allowed}")
    own = (population.continuous, population.num_actions, population.observation_size)
    if own != (info.continuous, info.num_actions[0], info.observation_size[0]):
        raise UserError(
            f"{key} is {name!r}, of {population.game}, whose observations or actions are not those "
            f"of {info.name}"
        )
    return population, int(member or 0)


def _scripted(name: str) -> Policy:
    module, _, function = name.partition(":")
    try:
        policy = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"{KEY} is {name!r}, but no policy is there: {error}") from error
    if not isinstance(policy, Policy):
        raise UserError(f"{KEY} is {name!r}, which is a {type(policy).__name__}, not a policy")
    return policy
