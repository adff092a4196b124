"""What values of a configuration fit, each by itself and together."""

from typing import TYPE_CHECKING

from neupl.payoff_source import payoff_source

if TYPE_CHECKING:
    from neupl.config import Config

NOT_JOINT = "graph.kind not jpsro"


def check_config(config: "Config") -> None:
    """Raises `ValueError` for the first value that does not fit, with key and what is allowed."""
    _check_ranges(config)
    _check_population(config)
    _check_network(config)
    _check_exact_learner(config)
    _check_playing_learner(config)
    _check_training(config)


def _check_ranges(config: "Config") -> None:
    """Of single numbers."""
    learner, training, evaluation = config.learner, config.training, config.evaluation
    for key, value in (
        ("learner.updates_per_target", learner.updates_per_target),
        ("learner.episodes", learner.episodes),
        ("learner.epochs", learner.epochs),
        ("learner.minibatch", learner.minibatch),
        ("learner.replay", learner.replay),
        ("learner.samples", learner.samples),
        ("learner.unroll", learner.unroll),
        ("training.steps", training.steps),
        ("training.evaluate_every", training.evaluate_every),
        ("training.max_steps_per_row", training.max_steps_per_row),
        ("network.embedding_size", config.network.embedding_size),
        ("network.memory_size", config.network.memory_size),
        ("graph.simplex_mixtures", config.graph.simplex_mixtures),
        ("evaluation.episodes", evaluation.episodes),
        ("evaluation.final_episodes", evaluation.final_episodes),
        ("evaluation.response_batches", evaluation.response_batches),
        ("max_nodes", config.max_nodes),
        ("jpsro.rehearsed", config.jpsro.rehearsed),
    ):
        _require(value >= 1, key, value, "at least 1")
    for key in (
        "learning_rate", "final_learning_rate", "max_gradient_norm", "improvement", "movement",
        "imitation_steps", "imitation_std", "imitation_learning_rate", "clip", "readout_weight",
        "teacher_rate",
    ):  # fmt: skip
        value = getattr(learner, key)
        _require(value > 0, f"learner.{key}", value, "positive")
    _require(evaluation.response_s > 0, "evaluation.response_s", evaluation.response_s, "positive")
    for group, keys in {
        "learner": ("horizon", "mirror"),
        "evaluation": ("improvement", "responses"),
        "graph": ("temperature",),
        "temperature": ("scale", "floor", "warmth", "cooling"),
        "jpsro": (
            "tolerance", "fit", "shortfall", "drift", "magnet", "break_ties", "hold_weight",
            "repeat",
        ),
    }.items():  # fmt: skip
        for key in keys:
            value = getattr(getattr(config, group), key)
            _require(value >= 0, f"{group}.{key}", value, "at least 0")
    share = config.graph.exploration
    _require(0 <= share <= 1, "graph.exploration", share, "in [0, 1]")
    share = config.jpsro.off_path
    _require(0 <= share <= 1, "jpsro.off_path", share, "in [0, 1]")
    share = config.graph.simplex_share
    _require(0 <= share < 1, "graph.simplex_share", share, "in [0, 1)")
    _require(0 <= training.settle < 1, "training.settle", training.settle, "in [0, 1)")
    _require(0 < learner.discount <= 1, "learner.discount", learner.discount, "in (0, 1]")
    _require(0 <= learner.trace <= 1, "learner.trace", learner.trace, "in [0, 1]")
    _require(0 <= evaluation.memory <= 1, "evaluation.memory", evaluation.memory, "in [0, 1]")
    _require(evaluation.window >= 2, "evaluation.window", evaluation.window, "at least 2")
    final = config.temperature.final
    _require(0 < final <= 1, "temperature.final", final, "in (0, 1]")


def _check_population(config: "Config") -> None:
    alone = config.graph.kind == "self_play" and config.population.sink == "none"
    least, size = 1 if alone else 2, config.population.size
    allowed = f"at least {least}" + ("" if alone else " (1 in self-play without a sink)")
    _require(size >= least, "population.size", size, allowed)
    _require(
        config.graph.kind != "first_quarter" or config.network.kind != "conditional",
        "graph.kind",
        config.graph.kind,
        "another one unless network.kind is separate or continued: rows repeat, and strategies of "
        "equal rows are one to a conditional network",
    )
    joint, share = config.graph.kind == "jpsro", config.graph.simplex_share
    _require(
        share == 0 or (config.network.kind == "conditional" and not joint),
        "graph.simplex_share",
        share,
        f"0 unless network.kind is conditional and {NOT_JOINT}",
    )


def _check_network(config: "Config") -> None:
    network, learner = config.network, config.learner
    conditional, joint = network.kind == "conditional", config.graph.kind == "jpsro"
    _require(bool(network.hidden_sizes), "network.hidden_sizes", (), "at least one layer")
    _require(
        not network.readout_sizes or (conditional and not joint),
        "network.readout_sizes",
        network.readout_sizes,
        f"empty unless network.kind is conditional and {NOT_JOINT}",
    )
    _require(
        (learner.kind == "mpo") == (network.critic == "action_values"),
        "network.critic",
        network.critic,
        "action_values with learner.kind=mpo, and only there",
    )
    plays_alone = learner.kind != "exact" and config.evaluation.payoffs != "exact"
    remembers = network.memory != "none"
    _require(
        not remembers or (plays_alone and not joint),
        "network.memory",
        network.memory,
        "none unless learner.kind is ppo or mpo, evaluation.payoffs sampled or learned, and "
        f"{NOT_JOINT}",
    )
    evaluation = config.evaluation
    _require(
        evaluation.responses == 0 or (plays_alone and not remembers and not joint),
        "evaluation.responses",
        evaluation.responses,
        "0 unless learner.kind is ppo or mpo, evaluation.payoffs sampled or learned, "
        f"network.memory none, and {NOT_JOINT}",
    )
    _require(
        not network.normalise or conditional or (plays_alone and not remembers),
        "network.normalise",
        network.normalise,
        "false unless network.kind is conditional, or network.memory none, learner.kind ppo and "
        "evaluation.payoffs sampled or learned",
    )
    _require(
        network.critic_reads != "observation" or not remembers,
        "network.critic_reads",
        network.critic_reads,
        "features, or privileged, unless network.memory is none",
    )
    _require(
        network.critic_reads != "privileged"
        or (conditional and plays_alone and learner.kind == "ppo" and not joint),
        "network.critic_reads",
        network.critic_reads,
        "features or observation unless network.kind is conditional, learner.kind ppo, "
        f"evaluation.payoffs sampled or learned, and {NOT_JOINT}",
    )


def _check_exact_learner(config: "Config") -> None:
    learner, joint = config.learner, config.graph.kind == "jpsro"
    by_tree = learner.kind == "exact" and config.network.kind == "conditional"
    _require(
        learner.importance == "coplayers" or (by_tree and not joint),
        "learner.importance",
        learner.importance,
        f"coplayers unless learner.kind is exact, network.kind conditional and {NOT_JOINT}",
    )
    _require(
        learner.sample == 0 or (by_tree and not (joint and config.jpsro.form != "distil")),
        "learner.sample",
        learner.sample,
        "0 unless learner.kind is exact, network.kind conditional and jpsro.form distil",
    )
    _require(
        learner.sample == 0 or learner.sample >= 3, "learner.sample", learner.sample,
        "0, or at least 3",
    )  # fmt: skip
    every, updates = config.training.evaluate_every, learner.updates_per_target
    _require(
        learner.kind != "exact" or every % updates == 0,
        "training.evaluate_every",
        every,
        f"a multiple of learner.updates_per_target ({updates})",
    )
    payoffs = config.evaluation.payoffs
    _require(
        learner.kind != "exact" or payoffs in ("auto", "exact"),
        "evaluation.payoffs",
        payoffs,
        "auto or exact with learner.kind=exact, which has the game tree; ppo and mpo allow all",
    )


def _check_playing_learner(config: "Config") -> None:
    learner, joint = config.learner, config.graph.kind == "jpsro"
    conditional = config.network.kind == "conditional"
    _require(
        learner.kind != "mpo" or (conditional and not joint),
        "learner.kind",
        learner.kind,
        "exact or ppo unless network.kind is conditional and graph.kind is not jpsro",
    )
    plays = learner.kind == "ppo" and not joint
    blocks, episodes = learner.blocks, learner.episodes
    _require(
        blocks == 1 or (blocks > 1 and learner.kind != "exact" and episodes % blocks == 0),
        "learner.blocks",
        blocks,
        f"1, or a divisor of learner.episodes ({episodes}) with learner.kind=ppo or mpo",
    )
    _require(
        learner.devices == 1 or (learner.devices >= 0 and plays),
        "learner.devices",
        learner.devices,
        "1, or with learner.kind=ppo 0 (all) or more, unless graph.kind is jpsro",
    )
    blocks, episodes = config.evaluation.blocks, config.evaluation.episodes
    samples = payoff_source(learner.kind, config.evaluation.payoffs) != "exact"
    _require(
        blocks == 1 or (1 < blocks <= episodes and samples and not joint),
        "evaluation.blocks",
        blocks,
        f"1, or up to evaluation.episodes ({episodes}) where payoffs come from episodes and "
        f"{NOT_JOINT}",
    )
    plays_alone = plays and config.evaluation.payoffs != "exact"
    _require(
        not learner.symmetry or config.network.memory == "none",
        "learner.symmetry",
        learner.symmetry,
        "false unless network.memory is none: what was remembered has no mirror image",
    )
    _require(
        not learner.imitate or plays_alone,
        "learner.imitate",
        learner.imitate,
        f"empty unless learner.kind is ppo, evaluation.payoffs sampled or learned and {NOT_JOINT}",
    )
    one_memory = config.network.memory == "none" or conditional
    _require(
        not learner.imitate or one_memory,
        "learner.imitate",
        learner.imitate,
        "empty where network.kind is not conditional and network.memory not none",
    )
    _check_teachers(config, plays_alone=plays_alone)
    for key, value in (("start", learner.start), ("game", learner.game)):
        _require(
            not value or plays_alone,
            f"learner.{key}",
            value,
            "empty unless learner.kind is ppo, evaluation.payoffs sampled or learned and "
            f"{NOT_JOINT}",
        )
    _require(
        learner.start_parts == "all"
        or (bool(learner.start) and conditional and config.network.memory != "none"),
        "learner.start_parts",
        learner.start_parts,
        "all unless learner.start is given, network.kind conditional and network.memory not none",
    )


def _check_teachers(config: "Config", *, plays_alone: bool) -> None:
    learner, network = config.learner, config.network
    fits = plays_alone and network.kind == "conditional" and network.memory == "none"
    _require(
        not learner.teachers or (fits and not learner.symmetry),
        "learner.teachers",
        learner.teachers,
        "empty unless learner.kind is ppo, evaluation.payoffs sampled or learned, network.kind "
        f"conditional, network.memory none, learner.symmetry false and {NOT_JOINT}",
    )
    _require(
        not (learner.teachers and learner.imitate),
        "learner.imitate",
        learner.imitate,
        "empty with learner.teachers, who are imitated themselves",
    )
    _require(
        bool(learner.teacher_choice) == (len(learner.teachers) > 1),
        "learner.teacher_choice",
        learner.teacher_choice,
        "given with several learner.teachers, and only then",
    )


def _check_training(config: "Config") -> None:
    training, joint = config.training, config.graph.kind == "jpsro"
    for key, usual in (("keep", "best"), ("steps_of_first_rows", ())):
        value = getattr(training, key)
        allowed = f"{usual!r} with graph.kind=jpsro"
        _require(value == usual or not joint, f"training.{key}", value, allowed)
    first = training.steps_of_first_rows
    _require(min(first, default=1) >= 1, "training.steps_of_first_rows", first, "all positive")
    late = training.staleness
    one_task = config.learner.kind == "ppo" and not joint and config.graph.simplex_share == 0
    _require(
        late == 0 or (late > 0 and one_task),
        "training.staleness",
        late,
        "0, or more with learner.kind=ppo, unless graph.kind is jpsro or graph.simplex_share "
        "above 0",
    )
    closing, gated = training.closing_steps, training.admission == "gated"
    _require(
        closing == 0 or (closing > 0 and gated and config.learner.kind != "exact" and not joint),
        "training.closing_steps",
        closing,
        f"0, or more with learner.kind ppo or mpo, training.admission gated and {NOT_JOINT}",
    )
    share = training.renew_row
    solved = config.graph.kind in ("psro", "rectified") and gated
    _require(
        share == 0 or (0 < share < 1 and solved),
        "training.renew_row",
        share,
        "0, or below 1 with graph.kind psro or rectified and training.admission gated",
    )


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{key} is {value!r}: it must be {allowed}")
