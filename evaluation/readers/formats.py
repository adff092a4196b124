"""The format of an evaluation's file: found from its content, or given."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluation.readers.battles import (
    OUTCOME,
    PROMPTS,
    WINNER,
    pair_columns,
    prompt_column,
    read_battles,
)
from evaluation.readers.judgments import (
    ALPACA_EVAL,
    ARENA_HARD,
    read_alpaca_eval,
    read_arena_hard,
)
from evaluation.readers.score_tables import long_columns, read_long_scores, read_wide_scores
from evaluation.readers.table import Table, read_content, read_table
from evaluation.readers.tournaments import TOURNAMENT_FILE, read_tournament
from evaluation.types import Battles, DataError, Scores
from games.normal_form import NormalForm
from games.payoff_files import read_payoffs
from games.types import GameError

FORMATS = {
    "battles": "model_a, model_b and a winner or an outcome in [0, 1] a row (also left, right)",
    "scores": "model, prompt and score a row (also agent, task)",
    "models-by-prompts": "a table of scores, a model a row",
    "prompts-by-models": "a table of scores, a prompt a row",
    "arena-hard": "judgments of Arena-Hard, JSON lines",
    "alpaca-eval": "annotations of AlpacaEval, JSON",
    "payoffs": "a payoff tensor: .npy, .npz, .json or .nfg",
}
_PAYOFF_SUFFIXES = (".npy", ".npz", ".nfg")


def read_evaluation(
    path: str | Path,
    *,
    data_format: str | None = None,
    where: Mapping[str, str] | None = None,
    outcome: str | None = None,
    baseline: str | None = None,
    style: bool = False,
) -> Battles | Scores | NormalForm:
    """Reads an evaluation from a file.

    Args:
      path: CSV, TSV, JSON, JSON lines, Parquet (any of them gzipped), payoffs, or the folder of a
        tournament.
      data_format: one of `FORMATS`; by default what the columns say.
      where: only rows in which these columns have these values.
      outcome: the column of outcomes or scores, where it is not `outcome` or `score`.
      baseline: who Arena-Hard's models were compared with, where the file does not say.
      style: whether to read what battles say of the length and formatting of their answers.

    Raises:
      DataError: the file cannot be read; the message names the file, the row and what is allowed.
    """
    path = Path(path)
    if data_format is not None and data_format not in FORMATS:
        close = difflib.get_close_matches(data_format, FORMATS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise DataError(f"unknown format {data_format!r}{hint}; allowed: {', '.join(FORMATS)}")
    if path.is_dir():
        path = path / TOURNAMENT_FILE
    content = read_content(path)
    if data_format is None and path.name == TOURNAMENT_FILE:
        return read_tournament(path, content)
    if data_format == "payoffs" or (data_format is None and _is_payoffs(path, content)):
        try:
            return read_payoffs(path)
        except GameError as error:
            raise DataError(str(error)) from error
    table = read_table(path, content).selected(where or {})
    kind = data_format or _detected(table, outcome)
    if kind == "battles":
        return read_battles(table, outcome=outcome, style=style)
    if kind == "arena-hard":
        return read_arena_hard(table, baseline=baseline)
    if kind == "alpaca-eval":
        return read_alpaca_eval(table, style=style)
    if kind == "scores":
        return read_long_scores(table, score=outcome or "score")
    rows = {"models-by-prompts": "models", "prompts-by-models": "prompts", "wide": None}[kind]
    return read_wide_scores(table, rows=rows)


def _is_payoffs(path: Path, content: bytes) -> bool:
    if path.suffix.lower() in _PAYOFF_SUFFIXES:
        return True
    start = content[:200].split()
    return path.suffix.lower() == ".json" and (
        b'"payoffs"' in content[:10_000] or b"".join(start).startswith(b"[[")
    )


def _detected(table: Table, outcome: str | None) -> str:
    """The format that a table's columns tell."""
    columns = set(table.names)
    if columns >= ALPACA_EVAL:
        return "alpaca-eval"
    if columns >= ARENA_HARD or {"uid", "model", "games"} <= columns:
        return "arena-hard"
    if pair_columns(table) and (columns & {WINNER, OUTCOME} or outcome in columns):
        return "battles"
    if long_columns(table, outcome or "score"):
        return "scores"
    if len(columns) > 2 and _mostly_numbers(table):
        return "wide"
    raise DataError(
        f"{table.source}: the format is not one that is known; columns are "
        f"{', '.join(map(repr, table.names))}. Known: "
        + "; ".join(f"{name} ({note})" for name, note in FORMATS.items())
    )


def _mostly_numbers(table: Table) -> bool:
    """Whether most of the first row's entries but its first begin as numbers do."""
    entries = [table.column(name).entry(0) for name in table.names[1:]]
    return sum(entry[:1] in "0123456789-.+" and entry != "" for entry in entries) * 2 > len(entries)


def read_groups(
    path: str | Path, column: str, *, where: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The group of each prompt, from a file with a column of prompts and one of groups.

    Raises:
      DataError: a column is missing, or a prompt has two groups.
    """
    path = Path(path)
    table = read_table(path, read_content(path)).selected(where or {})
    by = prompt_column(table)
    if by is None:
        raise DataError(f"{path}: groups need a column of prompts ({', '.join(PROMPTS)})")
    prompts, groups = table.column(by), table.column(column)
    cell = prompts.codes.astype(np.int64) * len(groups.values) + groups.codes
    _, first = np.unique(cell, return_index=True)
    found: dict[str, str] = {}
    for row in first.tolist():
        prompt, group = prompts.entry(row), groups.entry(row)
        if found.setdefault(prompt, group) != group:
            raise DataError(
                f"{table.where(row)}: prompt {prompt!r} is in the groups {found[prompt]!r} and "
                f"{group!r}; allowed is one"
            )
    return found
