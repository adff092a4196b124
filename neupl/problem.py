"""What a run trains: the game with its learner, evaluator and meta-solver, as configured."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from games.game_tree import GameTree
from games.normal_form import NormalForm
from games.open_spiel_tree import observe_as_played
from games.registry import load_simulator, load_tree
from games.teams import by_player
from games.types import Game, GameInfo, HostGame
from neupl.action_distribution import action_distribution
from neupl.config import Config
from neupl.demonstrators import load_demonstrators
from neupl.errors import UserError
from neupl.exact_evaluation import ExactEvaluator
from neupl.fixed_strategy import fixed_strategy, is_fixed_strategy
from neupl.interaction_graph import GROUNDED
from neupl.item_play import PlayItem
from neupl.learners import make_exact_learner, make_mpo_learner, make_ppo_learner
from neupl.learners.imitation import make_imitation
from neupl.learners.inherited_parameters import with_inherited_parameters
from neupl.least_exploitable import ChooseMixture, make_choose_mixture
from neupl.networks import make_network
from neupl.payoff_source import payoff_source
from neupl.population_actor import PopulationActor, Sink
from neupl.profile_play import ProfilePlay
from neupl.progress import Progress
from neupl.sampled_evaluation import SampledEvaluator
from neupl.stored_population import load_population
from neupl.teachers import load_teachers
from neupl.training_problem import Problem
from neupl.tree_population import TreePopulation
from neupl.types import Learner
from solvers.meta.registry import MetaSolver, meta_solver
from solvers.meta.regularised_nash import solve_regularised_nash
from solvers.values import payoffs


def make_problem(config: Config, *, quiet: bool = True) -> tuple[Problem, np.ndarray | None]:
    """Loads the game and builds its learner.

    Returns:
      The problem, and the table `[S, A]` of strategy 0 where it is fixed but not uniform.

    Raises:
      GameError: the game cannot be loaded as the learner needs it.
      UserError: the configuration does not fit the game.
    """
    if payoff_source(config.learner.kind, config.evaluation.payoffs) != "exact":
        problem, sink = _sampled_problem(config), None
    elif config.learner.kind == "exact":
        problem, sink = _exact_problem(config, quiet=quiet)
    else:
        problem, sink = _exact_gated_problem(config, quiet=quiet), None
    if problem.info.num_players != 2:
        players = f"but {config.game} has {problem.info.num_players} players"
        if config.graph.simplex_share > 0:
            raise UserError(
                f"graph.simplex_share is {config.graph.simplex_share}, {players}: mixtures are "
                "drawn for two",
                hint="set graph.simplex_share to 0",
            )
        if config.network.readout_sizes:
            raise UserError(
                f"network.readout_sizes is {config.network.readout_sizes}, {players}: the "
                "read-out tells who one opponent is",
                hint="leave network.readout_sizes out",
            )
    _check_responses(config, problem.info)
    return problem, sink


def _check_responses(config: Config, info: GameInfo) -> None:
    """Who answers to the mixture with anything makes it lose as much as it gains."""
    opposed = info.num_players == 2 and info.utility == "zero_sum"
    if config.evaluation.responses > 0 and (not opposed or info.continuous):
        raise UserError(
            f"evaluation.responses is {config.evaluation.responses}, but {config.game} is not a "
            "two-player zero-sum game of discrete actions",
            hint="set evaluation.responses to 0",
        )


def _sampled_problem(config: Config) -> Problem:
    """A run that plays and never sees a tree."""
    game, actor = _playing(config)
    info = by_player(game.info)
    solver = _meta_solver(config, info)
    return Problem(
        info=info,
        config=config,
        learner=_sampled_learner(game, actor, config),
        evaluator=SampledEvaluator(game, actor, config, solver),
        solver=solver,
        tables=None,
    )


def make_playing_learner(config: Config) -> Learner:
    """The learner of a run that plays, for whoever has nothing else to do with it; see
    `make_problem` for errors.
    """
    return _sampled_learner(*_playing(config), config)


def make_mixture_choice(config: Config) -> ChooseMixture:
    """What chooses the mixture of a run that plays once it is done (`evaluation.responses`),
    likewise.
    """
    return make_choose_mixture(*_playing(config), config)


def make_profile_play(config: Config) -> PlayItem:
    """What the evaluator of a run that plays has its episodes played by, likewise."""
    return ProfilePlay(*_playing(config), config)


def _sampled_learner(game: Game | HostGame, actor: PopulationActor, config: Config) -> Learner:
    if config.learner.game:
        game = _learned_game(config.learner.game, game.info)
    info = by_player(game.info)
    teachers = load_teachers(config.learner, info) if config.learner.teachers else None
    if config.learner.kind == "mpo":
        learner = make_mpo_learner(game, actor, config)
    else:
        learner = make_ppo_learner(game, actor, config, teachers=teachers)
    if config.learner.start:
        parts = config.learner.start_parts
        learner = with_inherited_parameters(learner, config.learner.start, parts=parts)
    if teachers is not None:
        demonstrators = (teachers.together,)
    elif config.learner.imitate:
        demonstrators = load_demonstrators(config.learner.imitate, info)
    else:
        return learner
    return learner._replace(imitation=make_imitation(game, demonstrators, config))


def _learned_game(name: str, info: GameInfo) -> Game | HostGame:
    """The game that is learned from in the place of another one, which it must look like."""
    game = load_simulator(name)
    for what in ("num_players", "seat_players", "num_actions", "observation_size", "continuous"):
        found, wanted = getattr(game.info, what), getattr(info, what)
        if found != wanted:
            raise UserError(
                f"learner.game is {name!r}, whose {what} is {found}, but that of {info.name} is "
                f"{wanted}",
                hint="name the same game with other rewards, or leave learner.game out",
            )
    return game


def _exact_gated_problem(config: Config, *, quiet: bool) -> Problem:
    """A run that plays, and is told by a tree what came of it."""
    if is_fixed_strategy(config.population.sink):
        raise UserError(
            f"population.sink is {config.population.sink!r}, a function, but payoffs from a game "
            "tree need a table",
            hint="set evaluation.payoffs=sampled, or population.sink to uniform or none",
        )
    game, actor = _playing(config)
    tree = observe_as_played(_compile(config, quiet=quiet))
    uniform = config.population.sink == "uniform"
    sink = tree.uniform_policy().astype(np.float32) if uniform else None
    tables, solver = TreePopulation(tree, config, sink=sink), _meta_solver(config, game.info)
    return Problem(
        info=game.info,
        config=config,
        learner=_sampled_learner(game, actor, config),
        evaluator=ExactEvaluator(tables, config, solver),
        solver=solver,
        tables=tables,
    )


def _playing(config: Config) -> tuple[Game | HostGame, PopulationActor]:
    """The game as it is played, and who plays it."""
    game = load_simulator(config.game)
    info = by_player(game.info)
    if config.population.symmetric and not info.symmetric:
        raise _not_symmetric(config)
    _check_alone(config, info)
    distribution = action_distribution(info)
    network = make_network(
        config.network,
        distribution.num_outputs(info.num_actions[0]),
        continuous=info.continuous,
    )
    num_tables = 1 if config.population.symmetric else info.num_players
    sink = _playing_sink(config, info)
    return game, PopulationActor(info, network, num_tables=num_tables, sink=sink)


def _playing_sink(config: Config, info: GameInfo) -> Sink | None:
    _check_sink(config)
    sink = config.population.sink
    if sink in ("uniform", "none"):
        return _uniform_sink(info) if sink == "uniform" else None
    if is_fixed_strategy(sink):
        return _function_sink(sink, info)
    raise UserError(
        f"population.sink is {sink!r}, but a run that only plays knows no information states",
        hint="set population.sink to uniform, none or package.module:function, or "
        "learner.kind=exact",
    )


def _check_alone(config: Config, info: GameInfo) -> None:
    """One player has one strategy, which responds to nobody."""
    size, kind, sink = config.population.size, config.graph.kind, config.population.sink
    if info.num_players == 1 and (size, kind, sink) != (1, "self_play", "none"):
        raise UserError(
            f"{info.name} has one player, who meets nobody: its population is one strategy, which "
            f"responds to nobody, not {size} of graph.kind {kind!r} and population.sink {sink!r}",
            hint="set population.size=1, population.sink=none and graph.kind=self_play",
        )


def _uniform_sink(info: GameInfo) -> Sink:
    distribution = action_distribution(info)
    return lambda seen: distribution.uniform(jnp.asarray(seen.legal_mask))


def _function_sink(sink: str, info: GameInfo) -> Sink:
    strategy, num_actions = fixed_strategy(sink), info.num_actions[0]
    observation = jax.ShapeDtypeStruct((1, info.observation_size[0]), np.float32)
    found = jax.eval_shape(strategy, observation, jax.ShapeDtypeStruct((1, num_actions), bool))
    if getattr(found, "shape", None) != (1, action_distribution(info).num_outputs(num_actions)):
        wanted = f"the probabilities of the {num_actions} actions of {info.name}"
        if info.continuous:
            wanted = f"{num_actions} means, then as many log standard deviations"
        raise UserError(f"population.sink is {sink!r}: it must return {wanted}")
    return lambda seen: strategy(seen.observation, seen.legal_mask)


def _compile(config: Config, *, quiet: bool) -> GameTree:
    with Progress(f"compiling {config.game}", quiet=quiet, patience_s=1.0) as progress:
        tree = load_tree(
            config.game,
            max_nodes=config.max_nodes,
            progress=lambda nodes: progress.update(nodes, None),
        )
    _check_symmetry(config, tree)
    return tree


def _exact_problem(config: Config, *, quiet: bool) -> tuple[Problem, np.ndarray | None]:
    tree = _compile(config, quiet=quiet)
    table = _sink_table(config, tree)
    sink = table
    if config.population.sink == "uniform":
        sink = tree.uniform_policy()
    if sink is not None:
        sink = sink.astype(np.float32)
    tables, solver = TreePopulation(tree, config, sink=sink), _meta_solver(config, tree.info())
    problem = Problem(
        info=tree.info(),
        config=config,
        learner=make_exact_learner(tables, config),
        evaluator=ExactEvaluator(tables, config, solver),
        solver=solver,
        tables=tables,
    )
    return problem, table


def _check_symmetry(config: Config, tree: GameTree) -> None:
    if not config.population.symmetric:
        return
    if not _is_symmetric(tree):
        raise _not_symmetric(config)


def _not_symmetric(config: Config) -> UserError:
    return UserError(
        f"population.symmetric is true, but {config.game} is not known to be a symmetric game",
        hint="leave population.symmetric at false: every seat then has its own strategies",
    )


def _is_symmetric(tree: GameTree) -> bool:
    """Whether the tree is a one-shot game whose payoffs stay the same when seats are exchanged."""
    one_shot = tree.num_infosets == tree.num_players and int(tree.infoset_depth.max()) == 0
    if not one_shot or (tree.legal_mask != tree.legal_mask[0]).any():
        return False
    pure = np.eye(tree.num_actions)[tree.legal_mask[0]]
    policies = np.tile(pure[:, None], (1, tree.num_infosets, 1))
    return NormalForm(payoffs(tree, policies)).symmetric


def _meta_solver(config: Config, info: GameInfo) -> MetaSolver:
    name = config.graph.meta_solver
    if name == "auto":
        name = "nash" if info.num_players == 2 and info.utility == "zero_sum" else "uniform"
    solver = solver_for(name, info, key="graph.meta_solver", game=config.game)
    if config.graph.temperature > 0 and name == "nash":
        temperature = config.graph.temperature * info.payoff_range
        return functools.partial(solve_regularised_nash, temperature=temperature)
    return solver


def solver_for(name: str, info: GameInfo, *, key: str, game: str) -> MetaSolver:
    """The meta-solver `name` for a game that it takes; `key` is where the name was given.

    Raises:
      UserError: there is no such solver, or it does not take this kind of game.
    """
    opposed = info.num_players == 2 and info.utility in ("zero_sum", "constant_sum")
    if name == "nash" and not opposed:
        raise UserError(
            f"{key} is 'nash', but {game} is not a two-player zero-sum game",
            hint=f"set {key} to prd or uniform",
        )
    if name == "bimatrix" and info.num_players != 2:
        raise UserError(
            f"{key} is 'bimatrix', but {game} has {info.num_players} players",
            hint=f"set {key} to mgcce or lle",
        )
    try:
        return meta_solver(name)
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error


def _check_sink(config: Config) -> None:
    sink = config.population.sink
    if sink == "none" and config.graph.kind in GROUNDED:
        raise UserError(
            f"population.sink is 'none', but graph.kind {config.graph.kind!r} starts from a fixed "
            "strategy 0",
            hint="set population.sink=uniform, or graph.kind to strategic_cycle or self_play",
        )


def _sink_table(config: Config, tree: GameTree) -> np.ndarray | None:
    """The fixed policy of strategy 0 where it is a file or a member of another run."""
    _check_sink(config)
    sink = config.population.sink
    if sink in ("uniform", "none"):
        return None
    path, member = sink.rsplit("#", 1) if "#" in sink else (sink, "")
    if member:
        return _member_table(Path(path), member, config, tree)
    return _file_table(Path(path), tree)


def _member_table(path: Path, member: str, config: Config, tree: GameTree) -> np.ndarray:
    population = load_population(path)
    if population.game != config.game:
        raise UserError(f"population.sink is of game {population.game}, the run of {config.game}")
    if member == "nash":
        from solvers.sequence_form import mix

        return mix(tree, population.tabulate(), population.meta_strategy)
    if not member.isdigit() or int(member) >= population.num_strategies:
        allowed = f"nash or 0 to {population.num_strategies - 1}"
        raise UserError(f"population.sink is {path}#{member}: the member must be {allowed}")
    return population.tabulate()[int(member)]


def _file_table(path: Path, tree: GameTree) -> np.ndarray:
    try:
        content: dict[str, list[float]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"population.sink is {str(path)!r}: not 'uniform', 'none', RUN#k or a readable JSON "
            f"file ({error})"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object of information states and probabilities")
    table = tree.uniform_policy()
    unknown = [name for name in content if name not in tree.infoset_name]
    if unknown:
        known = ", ".join(repr(name) for name in tree.infoset_name[:3])
        raise UserError(
            f"{path} names the information state {unknown[0]!r}; {tree.name} has {known}, ..."
        )
    for row, name in enumerate(tree.infoset_name):
        if name not in content:
            continue
        try:
            row_given = np.asarray(content[name], np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {name!r} is not a list of numbers: {error}") from error
        if row_given.shape != (tree.num_actions,):
            raise UserError(
                f"{path}: {name!r} must have {tree.num_actions} probabilities, one per action id"
            )
        table[row] = row_given
    try:
        tree.check_policy(table)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return table
