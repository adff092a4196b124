"""Measures a run of NeuPL-JPSRO on its game tree: everything is exact."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64

from games.game_tree import GameTree
from neupl.item_play import PlayItems
from neupl.jpsro.exact_learner import importance_of
from neupl.jpsro.iteration import begun, looks_for_something_new, magnet_key
from neupl.jpsro.meta_game import (
    MetaGame,
    advice_mixtures,
    better,
    measure_joint,
    plans_of,
    product_of_marginals,
    rank,
    rank_of,
    solve_meta_game,
    spread,
)
from neupl.jpsro.state import JointSnapshot, JointState
from neupl.jpsro.task import ResponseTask, TreeTask
from neupl.jpsro.types import JointProblem
from solvers.sequence_form import sequence_form
from solvers.values import payoffs_of_plans


@dataclasses.dataclass(frozen=True, eq=False)
class ExactInspection:
    """How far an iteration has come, exactly.

    Attributes:
      plans: `[K, Q]` of all strategies as they play now.
      responses: `[R, Q]` of the responses.
      response_left: `[P, R]` what the responses could still gain, in game points.
      strategy_left: `[P]` what the strategies could that they become.
      payoff_drift: largest change of a payoff between earlier strategies, in game points.
      divergence: `[P, K]` of earlier strategies from what they were, nats per information state.
      ready: whether the responses are good enough to become strategies.
      over: whether the iteration is.
      estimates: nothing, as there are none.
    """

    plans: Float64[np.ndarray, "K Q"]
    responses: Float64[np.ndarray, "R Q"]
    response_left: Float64[np.ndarray, "P R"]
    strategy_left: Float64[np.ndarray, "P"]
    payoff_drift: float
    divergence: Float64[np.ndarray, "P K"]
    ready: bool
    over: bool
    estimates: tuple[()] = ()

    def metrics(self) -> dict[str, float]:
        """What is logged of it."""
        return {
            "train/response_left": float(self.response_left.max()),
            "train/strategy_left": float(self.strategy_left.max()),
            "drift/payoff": self.payoff_drift,
            "drift/divergence": float(self.divergence.max()),
        }


class ExactJointEvaluator:
    """See `neupl.jpsro.types.JointEvaluator`; carries nothing."""

    def played_by(self, play_items: PlayItems) -> "ExactJointEvaluator":
        """See `JointEvaluator`; nothing is played."""
        return self

    def begin(self, problem: JointProblem) -> tuple[tuple[()], tuple[()]]:
        """See `JointEvaluator`."""
        return (), ()

    def observe(self, estimates: tuple[()], experience: Any) -> tuple[()]:
        """See `JointEvaluator`."""
        return estimates

    def tree_task(
        self, problem: JointProblem, state: JointState, mixtures: Float[np.ndarray, "P R M"]
    ) -> TreeTask:
        """See `JointEvaluator`."""
        tables = problem.tables
        policies = tables.policies(state.frozen)
        frozen = jnp.transpose(policies, (1, 2, 0))
        return TreeTask(
            reach=tables.coplayer_reach(policies, jnp.asarray(mixtures, jnp.float32)),
            magnet=_magnet(problem, state, mixtures.shape[1]),
            frozen=frozen,
            importance=importance_of(
                tables.passes, frozen, tables.seat, off_path=problem.config.jpsro.off_path
            ),
        )

    def inspect(
        self,
        problem: JointProblem,
        state: JointState,
        task: ResponseTask,
        metrics: Mapping[str, Any],
    ) -> ExactInspection:
        """See `JointEvaluator`; of the metrics, the divergences are read."""
        tables, settings = problem.tables, problem.config.jpsro
        tree = tables.tree
        policies = np.asarray(tables.policies(state.learner.params))
        plans = plans_of(tree, policies)
        responses = plans_of(
            tree, np.asarray(tables.responses(state.learner.params, task.mixtures))
        )
        mixtures, _ = advice_mixtures(state.joint, concept=settings.concept)
        frozen = plans_of(tree, np.transpose(np.asarray(task.on_tree.frozen), (2, 0, 1)))
        response_left = np.zeros_like(state.best)
        strategy_left = np.zeros(tree.num_players)
        for player in range(tree.num_players):
            responder = state.responder[player]
            strategy = responses[responder]
            if problem.network.distils:
                strategy = plans[np.maximum(state.slot[player], 0)]
            own = np.concatenate([responses, strategy[None]])
            earned = _earned(tree, player, own, frozen, mixtures[player])
            every = np.arange(len(responses))
            best, heard = state.best[player], state.heard[player]
            response_left[player] = best - heard * earned[every, every]
            strategy_left[player] = best[responder] - heard[responder] * earned[-1, responder]
        kept = [plans[:size] for size in state.sizes]
        now = payoffs_of_plans(tree, kept)
        before = state.payoffs[tuple(slice(size) for size in state.sizes)]
        held = np.asarray(task.held) > 0
        held[:, 0] = True
        still = [held[player, :size] for player, size in enumerate(state.sizes)]
        payoff_drift = float(np.abs((now - before)[np.ix_(*still)]).max())
        waited = int(state.learner.step) - int(state.started)
        cap = problem.config.training.max_steps_per_row
        if problem.config.learner.kind == "exact":
            fits = metrics["train/response_divergence"] <= settings.fit
            learned = metrics["train/strategy_divergence"] <= settings.fit
        else:
            may_miss = settings.shortfall * (state.best - state.follow)
            may_miss = np.maximum(may_miss, settings.tolerance * tree.payoff_range)
            chosen = np.arange(tree.num_players), state.responder
            fits = bool((response_left <= may_miss).all())
            learned = bool((strategy_left <= may_miss[chosen]).all())
        ready = fits or waited >= cap / 2
        decided = (state.slot >= 0).all()
        steady = payoff_drift <= settings.drift * tree.payoff_range
        return ExactInspection(
            plans=plans,
            responses=responses,
            response_left=response_left,
            strategy_left=strategy_left,
            payoff_drift=payoff_drift,
            divergence=_divergence(tree, task.on_tree, policies, held),
            ready=bool(ready),
            over=bool(decided and ((learned and steady) or waited >= cap)),
        )

    def gained(self, state: JointState, found: ExactInspection) -> Float64[np.ndarray, "P R"]:
        """See `JointEvaluator`."""
        return state.best - found.response_left - state.follow

    def apart(
        self,
        problem: JointProblem,
        state: JointState,
        found: ExactInspection,
        *,
        player: int,
        responder: int,
    ) -> Float64[np.ndarray, "K"]:
        """See `JointEvaluator`; over all sequences."""
        own = sequence_form(problem.tables.tree).owner == player
        size = int(state.sizes[player])
        response = found.responses[responder]
        return np.abs(found.plans[:size, own] - response[own]).max(axis=1)

    def close(
        self, problem: JointProblem, state: JointState, found: ExactInspection
    ) -> tuple[JointState, dict[str, float]]:
        """See `JointEvaluator`: the gap of the joint was known before."""
        return state, {}

    def open(
        self, problem: JointProblem, state: JointState, *, stalled: bool
    ) -> tuple[JointState, dict[str, float]]:
        """See `JointEvaluator`; the better one of both joints is kept if it is the best so far."""
        config, tree = problem.config, problem.tables.tree
        size, players, settings = config.population.size, tree.num_players, config.jpsro
        plans = plans_of(tree, np.asarray(problem.tables.policies(state.frozen)))
        game = solve_meta_game(
            tree, plans, state.sizes,
            concept=settings.concept, solver=problem.solver, judge=problem.judge,
        )  # fmt: skip
        nothing = settings.tolerance * tree.payoff_range
        idle = stalled or game.solved.gap <= nothing
        novel = looks_for_something_new(settings, idle=idle)
        met = game.judged if novel and idle and game.judged is not None else game.solved
        if settings.coplayers == "product":
            own = [plans[:own_size] for own_size in state.sizes]
            alone = product_of_marginals(met.joint)
            met = measure_joint(tree, own, game.payoffs, alone, concept=settings.concept)
        joint = spread(met.joint, size, players)
        _, heard = advice_mixtures(joint, concept=settings.concept)
        best, follow = np.zeros_like(heard), np.zeros_like(heard)
        for player, deviations in enumerate(met.found.deviations):
            at = np.maximum(deviations.advice, 0)
            best[player, at] = deviations.best_values
            follow[player, at] = deviations.best_values - deviations.gains
        state = begun(
            state,
            payoffs=spread(game.payoffs, size, players),
            joint=joint,
            best=best,
            follow=follow,
            heard=heard,
            novel=novel,
        )
        state = _keep_best(state, game, nothing=nothing, size=size)
        return state, _metrics(state, game)

    def finish(self, problem: JointProblem, best: JointSnapshot) -> JointSnapshot:
        """See `JointEvaluator`: nothing is left to be found out."""
        return best


def _keep_best(state: JointState, game: MetaGame, *, nothing: float, size: int) -> JointState:
    chosen = better(game.solved, game.judged, nothing=nothing)
    kept = state.best_so_far
    known, earned = float(np.maximum(kept.gains, 0.0).sum()), float(kept.values.sum())
    if rank(chosen, nothing=nothing) <= rank_of(known, earned, nothing=nothing):
        return state
    snapshot = JointSnapshot(
        params=state.frozen,
        sizes=state.sizes,
        joint=spread(chosen.joint, size, chosen.joint.ndim),
        judged=np.bool_(chosen is game.judged),
        payoffs=state.payoffs,
        gains=chosen.found.gains,
        values=chosen.found.on_policy_values,
        mixtures=state.mixtures,
        iteration=state.iteration,
        step=np.int64(state.learner.step),
    )
    return state._replace(best_so_far=snapshot)


def _metrics(state: JointState, game: MetaGame) -> dict[str, float]:
    best = state.best_so_far
    line = {
        "eval/gap": game.solved.gap,
        "eval/welfare": game.solved.welfare,
        "eval/best_gap": float(np.maximum(best.gains, 0.0).sum()),
        "eval/best_welfare": float(best.values.sum()),
        "time/solve_s": game.solve_s,
        "population/iteration": int(state.iteration),
        "population/novel": int(state.novel),
    }
    if game.judged is not None:
        line |= {"eval/judged_gap": game.judged.gap, "eval/judged_welfare": game.judged.welfare}
    gains, values = game.solved.found.gains, game.solved.found.on_policy_values
    for player, (gain, value, own) in enumerate(zip(gains, values, state.sizes, strict=True)):
        line |= {f"eval/gain_{player}": float(gain), f"eval/value_{player}": float(value)}
        line[f"population/size_{player}"] = int(own)
    return line


def _magnet(problem: JointProblem, state: JointState, num_responders: int) -> jax.Array:
    """`[S, A, R]` log-probabilities of the policy that breaks ties, or 0 where they share."""
    tree, settings = problem.tables.tree, problem.config.jpsro
    shape = (tree.num_infosets, tree.num_actions, num_responders)
    legal = tree.legal_mask[:, :, None]
    if state.novel:
        logits = jax.random.normal(magnet_key(problem.config.seed, int(state.iteration)), shape)
    elif settings.ties == "lowest":
        logits = jnp.asarray(np.broadcast_to(-np.cumsum(legal, axis=1, dtype=np.float32), shape))
    else:
        return jnp.zeros(shape)
    return _log_softmax_of_legal(settings.magnet * logits, legal)


@jax.jit
def _log_softmax_of_legal(
    logits: Float[Array, "S A R"], legal: Bool[Array | np.ndarray, "S A 1"]
) -> Float[Array, "S A R"]:
    log_probs = jax.nn.log_softmax(jnp.where(legal, logits, -jnp.inf), axis=1)
    return jnp.where(legal, log_probs, 0.0)


def _earned(
    tree: GameTree,
    player: int,
    own: Float[np.ndarray, "N Q"],
    frozen: Float[np.ndarray, "K Q"],
    mixtures: Float[np.ndarray, "R M"],
) -> Float64[np.ndarray, "N R"]:
    """What plans of a seat earn against mixtures of the frozen co-players, in game points."""
    drawn = np.flatnonzero(mixtures.any(axis=0))
    shape = (len(frozen),) * (tree.num_players - 1)
    others = [np.unique(k) for k in np.unravel_index(drawn, shape)]
    weights = mixtures.reshape(len(mixtures), *shape)[(slice(None), *np.ix_(*others))]
    seats = [frozen[k] for k in others]
    payoffs = payoffs_of_plans(tree, [*seats[:player], own, *seats[player:]])[..., player]
    table = np.moveaxis(payoffs, player, 0).reshape(len(own), -1)
    return table @ weights.reshape(len(mixtures), -1).T


def _divergence(
    tree: GameTree,
    on_tree: TreeTask,
    policies: Float[np.ndarray, "K S A"],
    held: Bool[np.ndarray, "P K"],
) -> Float64[np.ndarray, "P K"]:
    """KL of every held strategy from its frozen copy, by importance."""
    now = np.transpose(policies, (1, 2, 0)).astype(np.float64)
    before = np.asarray(on_tree.frozen).astype(np.float64)
    ratio = np.where(before > 0, before / np.maximum(now, 1e-30), 1.0)
    per_state = (before * np.log(ratio)).sum(axis=1) * np.asarray(on_tree.importance)
    total = np.zeros(held.shape)
    np.add.at(total, tree.infoset_player, per_state)
    return np.where(held, total, 0.0)
