"""Configuration: strict types, order of precedence, errors that name the key, exact round trip."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neupl.config import PPO_DEFAULTS, Config
from neupl.config_io import describe_fields, dump_config, load_config
from neupl.errors import UserError


@dataclasses.dataclass(frozen=True)
class Optimiser:
    """A section."""

    learning_rate: float = 1e-3
    """Step size."""
    rule: Literal["adam", "sgd"] = "adam"
    """Which rule,
    on two lines."""
    clip: float | None = None
    """Greatest norm."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """One field of each kind."""

    name: str
    """What it is called."""
    steps: int = 10
    fast: bool = False
    optimiser: Optimiser = Optimiser(learning_rate=0.5)
    sizes: tuple[int, ...] = (8, 8)
    box: tuple[int, str] = (1, "one")
    factors: dict[str, float] = dataclasses.field(default_factory=dict)
    extra: Optimiser | None = None
    limit: int | str = "none"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: it must be at least 1")


def load(text: str, tmp_path: Path, *overrides: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return load_config(Settings, path, overrides)


def refusal(text: str, tmp_path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load(text, tmp_path, *overrides)
    return f"{caught.value} | {caught.value.hint}"


def test_override_beats_file_beats_default(tmp_path):
    text = "name: a\nsteps: 20\noptimiser: {rule: sgd}\n"
    assert load(text, tmp_path) == Settings("a", 20, optimiser=Optimiser(0.5, "sgd"))
    overridden = load(text, tmp_path, "steps=30", "optimiser.clip=2", "steps=40")
    assert overridden == Settings("a", 40, optimiser=Optimiser(0.5, "sgd", 2.0))
    assert type(overridden.optimiser.clip) is float


def test_override_reaches_into_a_section_that_is_null(tmp_path):
    assert load("name: a\nextra: null", tmp_path, "extra.rule=sgd").extra == Optimiser(rule="sgd")


def test_scientific_notation_without_a_point_is_a_number(tmp_path):
    assert (
        load("name: a\noptimiser: {learning_rate: 3e-4}", tmp_path).optimiser.learning_rate == 3e-4
    )
    assert load("name: a", tmp_path, "optimiser.learning_rate=1E5").optimiser.learning_rate == 1e5


def test_game_strings_survive_as_override_values(tmp_path):
    for name in ("goofspiel(num_cards=4,players=2)", "pkg.mod:make", "folder/file.nfg"):
        assert load("", tmp_path, f"name={name}").name == name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("steps: 1.5", "steps must be int, not float 1.5"),
        ("steps: true", "steps must be int, not bool true"),
        ("steps: '3'", "steps must be int, not str '3'"),
        ("fast: 1", "fast must be bool, not int 1"),
        ("fast: null", "fast must be bool, not null null"),
        ("sizes: 8", "sizes must be list of int, not int 8"),
        ("sizes: [8, x]", "sizes[1] must be int, not str x"),
        ("box: [1]", "box must be [int, str], not list [1]"),
        ("factors: {a: b}", "factors.a must be float, not str b"),
        ("limit: 1.5", "limit must be int or str, not float 1.5"),
        ("optimiser: adam", "optimiser must be mapping with learning_rate, rule, clip"),
        ("optimiser: {rule: Adam}", "optimiser.rule must be 'adam' or 'sgd', not str Adam"),
        ("optimiser: {clip: [1]}", "optimiser.clip must be float or null, not list [1]"),
    ],
)
def test_wrong_type_names_key_value_and_expected_type(line, expected, tmp_path):
    message = refusal(f"name: a\n{line}\n", tmp_path)
    assert expected in message
    assert "settings.yaml" in message


def test_number_where_text_is_due_suggests_quotes(tmp_path):
    assert "quotes" in refusal("name: 7", tmp_path)


def test_unknown_key_names_the_nearest_and_all_allowed_ones(tmp_path):
    message = refusal("name: a\noptimiser: {learning_rat: 1}", tmp_path)
    assert "unknown key optimiser.learning_rat" in message
    assert "did you mean optimiser.learning_rate?" in message
    assert "optimiser.learning_rate, optimiser.rule, optimiser.clip" in message


def test_unknown_key_finds_the_nearest_one_of_another_section(tmp_path):
    assert "did you mean optimiser.rule?" in refusal("name: a\nrules: adam", tmp_path)


def test_unknown_key_without_a_near_one_suggests_nothing(tmp_path):
    assert "did you mean" not in refusal("name: a\nqqqqqq: 1", tmp_path)


def test_error_says_whether_file_or_override_is_wrong(tmp_path):
    assert refusal("name: a", tmp_path, "steps=x").startswith("--set: steps")
    assert refusal("name: a", tmp_path, "optimiser.rul=adam").startswith("--set: unknown key")
    assert "settings.yaml: fast" in refusal("name: a\nfast: x", tmp_path, "steps=3")


def test_missing_required_key_is_named(tmp_path):
    assert "the key name must be given" in refusal("steps: 3", tmp_path)


def test_refusal_of_the_dataclass_itself_is_passed_on(tmp_path):
    assert "steps is 0: it must be at least 1" in refusal("name: a\nsteps: 0", tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [a", "line 1 is not valid YAML"),
        ("name: a\nname: b", "key 'name' is given twice"),
        ("- a\n- b", "must hold `key: value` lines"),
        ("name: !!python/object:os.system x", "not valid YAML"),
        ("? [a, b]\n: 1", "a key must be plain text"),
    ],
)
def test_broken_file_is_one_clear_error(text, expected, tmp_path):
    assert expected in refusal(text + "\n", tmp_path).replace("line 2", "line 1")


@pytest.mark.parametrize("override", ["steps", "=3", "optimiser..rule=sgd", "name=[a"])
def test_broken_override_is_shown_back(override, tmp_path):
    assert repr(override) in refusal("name: a", tmp_path, override)


def test_absent_and_binary_files_are_clear_errors(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        load_config(Settings, tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read the configuration"):
        load_config(Settings, tmp_path / "binary.yaml")


def test_empty_file_gives_the_defaults(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing set\n")
    assert load_config(Config, tmp_path / "empty.yaml") == Config()


floats = st.floats(allow_nan=False)
optimisers = st.builds(
    Optimiser, floats, st.sampled_from(["adam", "sgd"]), st.one_of(st.none(), floats)
)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        Settings,
        texts,
        st.integers(min_value=1),
        st.booleans(),
        optimisers,
        st.lists(st.integers()).map(tuple),
        st.tuples(st.integers(), texts),
        st.dictionaries(texts, floats, max_size=3),
        st.one_of(st.none(), optimisers),
        st.one_of(st.integers(), texts),
    )
)
def test_round_trip_is_exact(tmp_path_factory, settings: Any):
    path = tmp_path_factory.getbasetemp() / "round_trip.yaml"
    path.write_text(dump_config(settings), encoding="utf-8")
    assert load_config(Settings, path) == settings


def test_round_trip_keeps_text_that_looks_like_a_number_text(tmp_path):
    for text in ("1e-4", "1", "yes", "null", "~", "1.5", "0x10", "2026-01-01", ""):
        assert yaml.safe_load(dump_config(Settings(text)))["name"] == text
        assert load(dump_config(Settings(text)), tmp_path).name == text


def test_infinity_survives(tmp_path):
    text = dump_config(Settings("a", optimiser=Optimiser(-math.inf)))
    assert load(text, tmp_path).optimiser.learning_rate == -math.inf


def test_descriptions_carry_key_type_default_and_text():
    described = {field.key: field for field in describe_fields(Settings)}
    assert list(described)[:6] == [
        "name", "steps", "fast", "optimiser.learning_rate", "optimiser.rule", "optimiser.clip",
    ]  # fmt: skip
    assert described["name"] == ("name", "str", "", "What it is called.")
    assert described["optimiser.learning_rate"] == (
        "optimiser.learning_rate", "float", "0.5", "Step size.",
    )  # fmt: skip
    assert described["optimiser.rule"].docstring == "Which rule,\non two lines."
    assert described["extra.clip"].type == "float or null"


def test_every_key_of_a_run_is_documented_and_settable():
    for field in describe_fields(Config):
        assert field.docstring, f"{field.key} has no text under it"
        value = yaml.safe_load(field.default)
        assert load_config(Config, None, [f"{field.key}={field.default}"]) == Config(), value


def test_learner_that_is_named_decides_what_a_run_starts_from(tmp_path):
    file = tmp_path / "ppo.yaml"
    file.write_text("learner: {kind: ppo, clip: 0.3}\ntraining: {steps: 7}\n")
    config = load_config(Config, file, ["training.evaluate_every=1"])
    training = dataclasses.replace(PPO_DEFAULTS.training, steps=7, evaluate_every=1)
    learner = dataclasses.replace(PPO_DEFAULTS.learner, clip=0.3)
    assert config == dataclasses.replace(PPO_DEFAULTS, learner=learner, training=training)
    assert load_config(Config, None, ["learner.kind=ppo"]) == PPO_DEFAULTS
    assert load_config(Config, file, ["learner.kind=exact"]).graph == Config().graph


def test_help_tells_the_defaults_of_sampled_runs():
    """Where they differ, and only there."""
    sampled = yaml.safe_load(dump_config(PPO_DEFAULTS))
    for field in describe_fields(Config):
        told = re.search(r"PPO: (\S+)\.$", field.docstring)
        value = sampled
        for name in field.key.split("."):
            value = value[name]
        default = yaml.safe_load(field.default)
        if field.key != "learner.kind":
            assert value == (yaml.safe_load(told[1]) if told else default), field.key
            assert not told or value != default
