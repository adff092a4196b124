"""What a run of NeuPL-JPSRO trains: its network, learner, meta-solvers, and who measures."""

from games.game_tree import GameTree
from games.open_spiel_tree import observe_as_played
from games.registry import load_simulator
from games.types import Game, GameInfo, HostGame
from neupl.config import Config
from neupl.errors import UserError
from neupl.item_play import PlayItem
from neupl.jpsro.exact_evaluation import ExactJointEvaluator
from neupl.jpsro.exact_learner import make_response_learner
from neupl.jpsro.meeting_play import MeetingPlay
from neupl.jpsro.networks import JointNetwork, response_network
from neupl.jpsro.ppo_learner import make_ppo_response_learner
from neupl.jpsro.sampled_evaluation import SampledJointEvaluator
from neupl.jpsro.tables import ResponseTables
from neupl.jpsro.types import JointProblem
from neupl.payoff_source import joint_payoff_source
from neupl.problem import solver_for
from neupl.types import Learner
from solvers.meta.registry import MetaSolver

# Profiles of which payoffs are kept.
MAX_PROFILES = 2**20


def make_joint_problem(config: Config, tree: GameTree) -> JointProblem:
    """The problem of one game with a tree that measures; what plays episodes sees the tree as it is
    played.
    """
    if config.learner.kind != "exact":
        tree = observe_as_played(tree)
    info = tree.info()
    network = _network(config, info)
    tables = ResponseTables(tree, network, sink=tree.uniform_policy())
    if config.learner.kind == "exact":
        learner = make_response_learner(tables, config, _num_responders(config))
    else:
        game = _playing_game(config)
        learner = make_ppo_response_learner(game, network, config, _num_responders(config))
    solver, judge = _solvers(config, info)
    return JointProblem(
        info, config, network, tables, learner, ExactJointEvaluator(), solver, judge
    )


def make_played_problem(config: Config) -> JointProblem:
    """The problem of one game that is only played: the process never sees a tree.

    Raises:
      GameError: the game cannot be played.
      UserError: the configuration does not fit the game.
    """
    game = _playing_game(config)
    _check_size(config, game.info)
    network = _network(config, game.info)
    learner = make_ppo_response_learner(game, network, config, _num_responders(config))
    solver, judge = _solvers(config, game.info)
    evaluator = SampledJointEvaluator(game, network, config)
    return JointProblem(game.info, config, network, None, learner, evaluator, solver, judge)


def make_playing_response_learner(config: Config) -> Learner:
    """The learner of a run that plays, for whoever has nothing else to do with it; see
    `make_played_problem` for errors.
    """
    game = _playing_game(config)
    network = _network(config, game.info)
    return make_ppo_response_learner(game, network, config, _num_responders(config))


def make_meeting_play(config: Config) -> PlayItem:
    """What the evaluator of a run that only plays has its episodes played by, likewise."""
    game = _playing_game(config)
    return MeetingPlay(game, _network(config, game.info))


def _playing_game(config: Config) -> Game | HostGame:
    game = load_simulator(config.game)
    if game.info.seat_players:
        raise UserError(
            f"graph.kind is 'jpsro', but players of {config.game} have several seats each, and a "
            "joint is trained of players of one",
            hint="set graph.kind=psro",
        )
    return game


def solver_name(config: Config) -> str:
    """The meta-solver of a run."""
    name = config.graph.meta_solver
    if name == "auto":
        return "mgcce" if config.jpsro.concept == "cce" else "mgce"
    return name


def allows_joint(config: Config) -> bool:
    """Whether `check_joint_config` passes."""
    try:
        check_joint_config(config)
    except UserError:
        return False
    return True


def check_joint_config(config: Config) -> None:
    """Raises `UserError` for what this loop does not do."""
    if config.population.sink != "uniform" or config.population.symmetric:
        raise UserError(
            "graph.kind is 'jpsro', where strategy 0 of every seat plays all legal actions alike",
            hint="leave population.sink at uniform and population.symmetric at false",
        )
    source = joint_payoff_source(config.evaluation.payoffs)
    if source != "exact" and config.jpsro.coplayers == "product":
        raise UserError(
            f"jpsro.coplayers is 'product', but runs of evaluation.payoffs={source} measure the "
            "gap of a joint by the responses to it",
            hint="leave jpsro.coplayers at joint, or set evaluation.payoffs=exact",
        )
    if config.learner.kind == "ppo":
        _check_ppo(config)


def _check_ppo(config: Config) -> None:
    """Raises `UserError` for what responses from episodes do not do."""
    if config.learner.mirror:
        raise UserError(
            f"learner.mirror is {config.learner.mirror:g}: graph.kind=jpsro takes 0 alone"
        )
    for key, value, only in (
        ("network.kind", config.network.kind, "conditional"),
        ("jpsro.form", config.jpsro.form, "distil"),
    ):
        if value != only:
            raise UserError(
                f"{key} is {value!r}: graph.kind=jpsro learns from episodes with {only} alone",
                hint="learner.kind=exact takes all",
            )


def _check_size(config: Config, info: GameInfo) -> None:
    """Raises `UserError` where the profiles are too many to be listed."""
    profiles = config.population.size**info.num_players
    if profiles > MAX_PROFILES:
        raise UserError(
            f"population.size is {config.population.size}: {config.game} then has {profiles:,} "
            f"profiles of its {info.num_players} seats, and graph.kind=jpsro lists up to "
            f"{MAX_PROFILES:,}",
            hint="set a smaller population.size",
        )


def _network(config: Config, info: GameInfo) -> JointNetwork:
    return response_network(
        config.network,
        config.jpsro.form,
        num_actions=info.num_actions[0],
        num_players=info.num_players,
        num_strategies=config.population.size,
    )


def _num_responders(config: Config) -> int:
    return 1 if config.jpsro.concept == "cce" else config.population.size


def _solvers(config: Config, info: GameInfo) -> tuple[MetaSolver, MetaSolver | None]:
    """The meta-solver and the judge."""
    judge, game = config.jpsro.judge, config.game
    solver = solver_for(solver_name(config), info, key="graph.meta_solver", game=game)
    if judge == "none":
        return solver, None
    return solver, solver_for(judge, info, key="jpsro.judge", game=game)
