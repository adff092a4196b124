"""Certifies a population from its files alone, by OpenSpiel and by us.

The network is reloaded and queried on tensors of live OpenSpiel states; OpenSpiel rebuilds the
mixture with its own aggregator and measures it with its own best responses; our arrays do the same;
the two must agree. As a third check, which shares no best response or aggregator with the others,
the mixture can be played.
"""

import dataclasses
import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from games.tree_game import TreeGame
from games.types import GameError
from neupl.errors import CheckFailed, UserError
from neupl.payoff_calibration import Calibration
from neupl.population import Population
from neupl.rollout import make_play
from solvers.gaps import gains
from solvers.open_spiel_check import (
    OpenSpielCheck,
    check_mixture,
    find_judge,
    policy_from_table,
    query_policy_on_live_states,
)
from solvers.sequence_form import mix, mix_plans, realization_plan
from solvers.types import Certificate
from solvers.values import payoffs, returns_of_plan

log = logging.getLogger(__name__)

# Episodes played at a time.
LANES = 4096
# Greatest probability, per seat, that a correct mean fails the check by play.
FALSE_ALARM = 1e-8
# What 32-bit probabilities may do to a mean return, as a share of the payoff range.
PLAY_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class SampledReturns:
    """Mean returns of the mixture as played, beside the exact ones; one entry per seat, in game
    points.

    Attributes:
      episodes: number of episodes.
      mean_returns: mean over the episodes.
      standard_errors: of those means, from the episodes.
      exact_returns: expected returns from the tree.
      allowed_differences: greatest difference that passes.
      agrees: whether all seats' differences pass.
      seconds: wall-clock time.
    """

    episodes: int
    mean_returns: tuple[float, ...]
    standard_errors: tuple[float, ...]
    exact_returns: tuple[float, ...]
    allowed_differences: tuple[float, ...]
    agrees: bool
    seconds: float


@dataclasses.dataclass(frozen=True)
class Verification:
    """A certificate and what OpenSpiel said.

    Attributes:
      certificate: NashConv of the population's mixture, exact.
      check: OpenSpiel's numbers beside ours; `None` where OpenSpiel does not know the game.
      policies: `[K, S, A]` the tables that were measured; `None` where they are not at hand.
      sampled: the mixture as played; `None` where no episodes were asked for.
      method: how the population was trained, in words; `None` where that is not known.
      payoffs: its estimated payoffs, `running` in training and `measured` after it, beside the
        exact ones; empty where it has none.
    """

    certificate: Certificate
    check: OpenSpielCheck | None
    policies: np.ndarray | None = None
    sampled: SampledReturns | None = None
    method: str | None = None
    payoffs: Mapping[str, Calibration] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The certificate, and the comparison behind it."""
        content: dict[str, Any] = {"certificate": dataclasses.asdict(self.certificate)}
        if self.check is not None:
            content["openspiel"] = dataclasses.asdict(self.check)
        if self.sampled is not None:
            content["sampled"] = dataclasses.asdict(self.sampled)
        if self.method is not None:
            content["method"] = self.method
        if self.payoffs:
            content["payoffs"] = {name: found._asdict() for name, found in self.payoffs.items()}
        return content


def certify_elsewhere(path: Path, *, budget_s: float) -> Verification:
    """Has another process certify the population at `path`; see `certificate_elsewhere`."""
    content = certificate_elsewhere(path, budget_s=budget_s)
    check = content.get("openspiel")
    return Verification(
        certificate_of(content),
        None if check is None else OpenSpielCheck(**with_tuples(check)),
        payoffs={name: Calibration(**c) for name, c in content.get("payoffs", {}).items()},
    )


def certificate_elsewhere(path: Path, *, budget_s: float) -> dict[str, Any]:
    """What `neupl verify --json` says of the population at `path` in another process, so that this
    one, which only played, never sees a game tree: exactly, or by a trained best response where no
    tree fits.

    Args:
      path: a run or an exported population.
      budget_s: seconds for the trained best response.

    Raises:
      CheckFailed: OpenSpiel disagrees with our certificate.
      UserError: neither way works; the message is that of the last one.
    """
    done = _verify(path)
    if done.returncode == 2:
        log.info("not certified exactly: %s", done.stderr.strip())
        done = _verify(path, "--method", "trained-br", "--budget", str(budget_s))
    if done.returncode == 1:
        raise CheckFailed(done.stderr.strip().removeprefix("error: "), report={})
    if done.returncode != 0:
        raise UserError(
            f"the population at {path} was not certified: {done.stderr.strip() or done.returncode}"
        )
    return json.loads(done.stdout)


def certificate_of(content: Mapping[str, Any]) -> Certificate:
    """The certificate of what `certificate_elsewhere` returned."""
    return Certificate(**with_tuples(content["certificate"]))


def _verify(path: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "neupl", "verify", str(path), "--json", "--quiet", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def with_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as they were before JSON made lists of them."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}


def verify_population(
    population: Population,
    tree: GameTree,
    *,
    name: str,
    num_episodes: int = 0,
    episode_seed: int = 0,
    on_episodes: Callable[[int], None] | None = None,
) -> Verification:
    """Measures the NashConv of a population's mixture, and plays it if asked to.

    Args:
      population: as loaded from disk.
      tree: its game.
      name: what to call it in the certificate.
      num_episodes: how many episodes to play; 0 for none.
      episode_seed: seed of the episodes.
      on_episodes: called now and then with the number of episodes played so far.

    Raises:
      CheckFailed: OpenSpiel and we disagree by more than 1e-6, or a seat's mean return in the
        episodes is farther from the exact one than chance allows (`sample_returns`).
    """
    start = time.perf_counter()
    try:
        find_judge(tree)
    except GameError:
        policies, check = population.tabulate(), None
        per_player = tuple(gains(tree, mix(tree, policies, population.meta_strategy)).tolist())
        theirs = None
    else:
        policies = live_tables(tree, population.probabilities, population.num_strategies)
        check = check_mixture(tree, policies, population.meta_strategy)
        per_player, theirs = check.per_player, check.openspiel_nash_conv
    certificate = Certificate(
        quantity="nash_conv",
        value=float(sum(per_player)),
        per_player=per_player,
        object=f"meta-strategy mixture of {name}",
        method="exact",
        interval=None,
        openspiel_value=theirs,
        game=tree.name,
        seconds=time.perf_counter() - start,
    )
    agreement = {}
    if population.estimates is not None:
        agreement = population.estimates.against_exact(payoffs(tree, policies))
    verification = Verification(
        certificate, check, policies, method=population.method, payoffs=agreement
    )
    if check is not None and not check.agrees:
        raise CheckFailed(
            f"OpenSpiel finds NashConv {check.openspiel_nash_conv!r} (per player "
            f"{check.openspiel_per_player}), we find {check.nash_conv!r} ({check.per_player}); "
            f"largest difference of the mixtures {check.largest_policy_difference:.3g}",
            report=verification.to_json(),
        )
    if num_episodes == 0:
        return verification
    sampled = sample_returns(
        population,
        tree,
        policies,
        num_episodes=num_episodes,
        key=jax.random.key(episode_seed),
        on_episodes=on_episodes,
    )
    verification = dataclasses.replace(verification, sampled=sampled)
    if not sampled.agrees:
        raise CheckFailed(
            f"mean returns of {sampled.episodes} episodes are {sampled.mean_returns}, the exact "
            f"ones are {sampled.exact_returns}; chance alone allows differences of "
            f"{sampled.allowed_differences}",
            report=verification.to_json(),
        )
    return verification


def sample_returns(
    population: Population,
    tree: GameTree,
    policies: Float[np.ndarray, "K S A"],
    *,
    num_episodes: int,
    key: jax.Array,
    on_episodes: Callable[[int], None] | None = None,
) -> SampledReturns:
    """Plays a population's mixture against itself and compares the mean returns with the exact
    ones.

    A difference passes up to the bound that a correct mean exceeds with probability below 1e-8:
    Bernstein's inequality (1946) with the exact variance of a return. For many episodes that is 6.2
    standard errors; for few it also covers returns so rare that no episode shows them.

    Args:
      population: as loaded from disk; its seats play `"nash"`.
      tree: its game.
      policies: its strategies as tables, for the exact returns.
      num_episodes: how many episodes, at least 2.
      key: a JAX random key; consumed.
      on_episodes: called now and then with the number of episodes played so far.
    """
    start = time.perf_counter()
    seats = range(tree.num_players)
    play = make_play(TreeGame(tree), [population.policy("nash", seat=seat) for seat in seats])
    lanes = min(num_episodes, LANES)
    batches = []
    for batch in range(math.ceil(num_episodes / lanes)):
        batches.append(play(lanes, jax.random.fold_in(key, batch)).returns)
        if on_episodes is not None:
            on_episodes(min((batch + 1) * lanes, num_episodes))
    returns = np.concatenate(batches).astype(np.float64)[:num_episodes]
    plan = mix_plans(tree, realization_plan(tree, policies), population.meta_strategy)
    exact, mean = returns_of_plan(tree, plan), returns.mean(axis=0)
    allowed = _allowed_differences(tree, plan, num_episodes)
    return SampledReturns(
        episodes=num_episodes,
        mean_returns=tuple(mean.tolist()),
        standard_errors=tuple((returns.std(axis=0, ddof=1) / math.sqrt(num_episodes)).tolist()),
        exact_returns=tuple(exact.tolist()),
        allowed_differences=tuple(allowed.tolist()),
        agrees=bool((np.abs(mean - exact) <= allowed).all()),
        seconds=time.perf_counter() - start,
    )


def _allowed_differences(
    tree: GameTree, plan: Float[np.ndarray, "Q"], num_episodes: int
) -> Float64[np.ndarray, "P"]:
    """Bernstein's bound, solved for the difference, plus rounding; in game points."""
    deviations = tree.terminal_returns - returns_of_plan(tree, plan)
    variance = returns_of_plan(dataclasses.replace(tree, terminal_returns=deviations**2), plan)
    log_odds = math.log(2 / FALSE_ALARM)
    rare = tree.payoff_range * log_odds / (3 * num_episodes)
    spread = 2 * variance * log_odds / num_episodes
    return rare + np.sqrt(rare**2 + spread) + PLAY_ROUNDING * tree.payoff_range


def live_tables(
    tree: GameTree,
    probabilities_fn: Callable[[int, np.ndarray, np.ndarray], np.ndarray],
    num_strategies: int,
) -> Float64[np.ndarray, "K S A"]:
    """The tables of all strategies, asked on tensors of live OpenSpiel states.

    Args:
      tree: the game.
      probabilities_fn: `(seat, tensors [B, O], mask [B, A]) -> [K, B, A]`; asked once per batch of
        states for all strategies.
      num_strategies: `K`.

    Raises:
      GameError: OpenSpiel does not know the game.
    """
    answers: dict[tuple[int, bytes], np.ndarray] = {}

    def ask(k: int):
        def policy_fn(player: int, tensors: np.ndarray, mask: np.ndarray) -> np.ndarray:
            key = (player, tensors.tobytes())
            if key not in answers:
                answers[key] = probabilities_fn(player, tensors, mask)
            return answers[key][k]

        return policy_fn

    tables = [
        policy_from_table(tree, query_policy_on_live_states(tree, ask(k)))
        for k in range(num_strategies)
    ]
    return np.stack(tables)
