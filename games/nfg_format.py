"""Gambit's `.nfg` text format, payoff and outcome version (Gambit documentation, "the strategic
game file format").

Profiles are listed with the first player's strategy changing fastest; numbers may be integers,
decimals or fractions.
"""

import re
from fractions import Fraction

import numpy as np

from games.normal_form import NormalForm
from games.types import GameError

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}])|([^\s{},"]+)|[\s,]+|(.)', re.DOTALL)


def parse_nfg(text: str, *, source: str) -> NormalForm:
    """Reads a game from the text of an `.nfg` file.

    Args:
      text: the whole file.
      source: where the text comes from, for error messages; becomes the game's name.

    Raises:
      GameError: the text is not a normal-form game; the message says what was expected and what was
        found.
    """
    reader = _Reader(text, source)
    for expected in ("NFG", "1"):
        reader.expect_word(expected)
    if reader.word("R or D") not in ("R", "D"):
        raise reader.error("the number type R or D after 'NFG 1'")
    reader.string("the title")
    players = reader.strings("the player names")
    names = _strategy_names(reader, len(players))
    if reader.peek() == "string":
        reader.string("the comment")
    sizes = [len(row) for row in names]
    if not players or 0 in sizes:
        raise GameError(
            f"{source}: {len(players)} players with {sizes} strategies; "
            "every player needs at least one"
        )
    num_profiles = int(np.prod(sizes))
    if reader.peek() == "{":
        outcomes = _outcomes(reader, len(players))
        chosen = [reader.integer(f"outcome 0..{len(outcomes) - 1}") for _ in range(num_profiles)]
        wrong = [k for k in chosen if not 0 <= k < len(outcomes)]
        if wrong:
            raise GameError(
                f"{source}: outcome {wrong[0]} does not exist; there are {len(outcomes) - 1}"
            )
        flat = [outcomes[k] for k in chosen]
    else:
        flat = [[reader.number("a payoff") for _ in players] for _ in range(num_profiles)]
    reader.expect_end(num_profiles)
    payoffs = np.array(flat, np.float64).reshape(*reversed(sizes), len(players))
    axes = [*reversed(range(len(players))), len(players)]
    return NormalForm(payoffs.transpose(axes), strategy_names=names, name=source)


def format_nfg(game: NormalForm) -> str:
    """Writes the payoff version; standard errors and counts have no place in the format.

    Strategies that are merely numbered are written as their count: OpenSpiel reads nothing else.
    """
    players = " ".join(_quoted(f"Player {p + 1}") for p in range(game.num_players))
    numbered = [[str(k) for k in range(size)] for size in game.num_strategies]
    if list(map(list, game.strategy_names)) == numbered:
        strategies = "{ " + " ".join(map(str, game.num_strategies)) + " }"
    else:
        names = ["{ " + " ".join(map(_quoted, row)) + " }" for row in game.strategy_names]
        strategies = "{ " + "\n".join(names) + ' }\n""'
    axes = [*reversed(range(game.num_players)), game.num_players]
    rows = game.payoffs.transpose(axes).reshape(-1, game.num_players).tolist()
    body = "\n".join(" ".join(map(repr, row)) for row in rows)
    return f"NFG 1 R {_quoted(game.name)} {{ {players} }} {strategies}\n\n{body}\n"


def _strategy_names(reader: "_Reader", num_players: int) -> list[list[str]]:
    """`{ 3 2 }` or `{ { "a" "b" "c" } { "l" "r" } }`."""
    reader.expect_brace("{", "the strategies")
    names: list[list[str]] = []
    while reader.peek() != "}":
        if reader.peek() == "{":
            names.append(reader.strings("the strategy names"))
        else:
            size = reader.integer("a number of strategies")
            names.append([str(k) for k in range(size)])
    reader.expect_brace("}", "the end of the strategies")
    if len(names) != num_players:
        raise GameError(f"{reader.source}: {num_players} players, but strategies for {len(names)}")
    return names


def _outcomes(reader: "_Reader", num_players: int) -> list[list[float]]:
    """`{ { "name" 1, 2 } ... }`; outcome 0 is implied and pays nothing."""
    outcomes = [[0.0] * num_players]
    reader.expect_brace("{", "the outcomes")
    while reader.peek() == "{":
        reader.expect_brace("{", "an outcome")
        reader.string("the name of an outcome")
        outcomes.append([reader.number("a payoff") for _ in range(num_players)])
        reader.expect_brace("}", "the end of an outcome")
    reader.expect_brace("}", "the end of the outcomes")
    return outcomes


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """The tokens of a file, read one by one; every expectation that fails names the line."""

    def __init__(self, text: str, source: str):
        self.source, self.text, self.position = source, text, 0
        self.tokens: list[tuple[str, str, int]] = []
        for match in _TOKEN.finditer(text):
            quoted, brace, word, stray = match.groups()
            if quoted is not None:
                self.tokens.append(("string", re.sub(r"\\(.)", r"\1", quoted), match.start()))
            elif brace:
                self.tokens.append((brace, brace, match.start()))
            elif word or stray:
                self.tokens.append(("word", word or stray, match.start()))

    def peek(self) -> str:
        return self.tokens[self.position][0] if self.position < len(self.tokens) else "end"

    def take(self, kind: str, expected: str) -> str:
        if self.peek() != kind:
            raise self.error(expected)
        self.position += 1
        return self.tokens[self.position - 1][1]

    def error(self, expected: str) -> GameError:
        if self.position >= len(self.tokens):
            return GameError(f"{self.source}: expected {expected}, but the file ends")
        _, found, start = self.tokens[self.position]
        line = self.text.count("\n", 0, start) + 1
        return GameError(f"{self.source}, line {line}: expected {expected}, found {found!r}")

    def word(self, expected: str) -> str:
        return self.take("word", expected)

    def string(self, expected: str) -> str:
        return self.take("string", expected)

    def expect_brace(self, brace: str, expected: str) -> None:
        self.take(brace, f"{brace!r} for {expected}")

    def expect_word(self, word: str) -> None:
        if self.peek() != "word" or self.tokens[self.position][1] != word:
            raise self.error(f"{word!r} of the header 'NFG 1 R'")
        self.position += 1

    def expect_end(self, num_profiles: int) -> None:
        if self.peek() != "end":
            raise self.error(f"the end of the file after {num_profiles} profiles")

    def strings(self, expected: str) -> list[str]:
        self.expect_brace("{", expected)
        found = []
        while self.peek() == "string":
            found.append(self.string(expected))
        self.expect_brace("}", f"the end of {expected}")
        return found

    def number(self, expected: str) -> float:
        return float(self._fraction(expected))

    def integer(self, expected: str) -> int:
        value = self._fraction(expected)
        if value.denominator != 1:
            self.position -= 1
            raise self.error(f"{expected}, an integer")
        return int(value)

    def _fraction(self, expected: str) -> Fraction:
        word = self.take("word", expected)
        try:
            return Fraction(word)
        except (ValueError, ZeroDivisionError):
            self.position -= 1
            raise self.error(f"{expected}, a number") from None
