"""`neupl rate`: ratings of models from battles, scores or payoffs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table
from neupl.cli.rate_audit import print_audit, run_audit

if TYPE_CHECKING:
    from evaluation.ratings import Evaluation, RatingOptions
    from evaluation.types import RatingResult
    from evaluation.uncertainty import Uncertainty


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate(OutputOptions):
    """Rates models from battles, scores or payoffs, with a certificate.

    The primary method is an equilibrium of a game between a player that chooses prompts, a king
    and a rebel: exact copies of prompts or models cannot move its ratings. Data are CSV, TSV, JSON,
    JSON lines or Parquet, also gzipped: battles (`model_a,model_b,winner`, `left,right,winner`, or
    an `outcome` in [0, 1]), scores (`model,prompt,score` or a wide table), judgments of Arena-Hard
    and AlpacaEval; or payoffs (`.npy`, `.npz`, `.json`, `.nfg`), whose first player is rated.
    """

    evaluation: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """The file."""

    method: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """One or more methods; the first one ranks, the others stand beside it. `cce`, `ce`, `nash` and
    `deviation` (equilibria), `nash_averaging`, `nash_averaging_tasks`, `alpha_rank`,
    `bradley_terry`, `davidson`, `elo`, `win_rate`, `borda`, `copeland`, `ranked_pairs`, `schulze`,
    `maximal_lotteries`. By default cce, or bradley_terry where battles leave most pairs out."""

    groups: Annotated[str | None, tyro.conf.arg(metavar="[FILE:]COLUMN")] = None
    """Prompts that belong together count once: the column that names each prompt's group, of DATA
    or of another file with a column of prompts."""

    where: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="COLUMN=VALUE"), tyro.conf.UseAppendAction
    ] = ()
    """Only rows in which the column has the value; may be repeated."""

    outcome: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None
    """The column of outcomes or scores; by default `winner`, `outcome` or `score`."""

    format: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """`battles`, `scores`, `models-by-prompts`, `prompts-by-models`, `arena-hard`, `alpaca-eval` or
    `payoffs`; by default what the columns say."""

    form: Literal["winrate", "difference", "scaled_difference"] = "winrate"
    """What king and rebel earn: their chance of winning, or the difference of their scores, each
    prompt's own scale taken out or not."""

    missing: Literal["drop", "tie"] = "drop"
    """Prompts on which not everything was measured are left out, or what is missing counts as
    ties."""

    affinity: Annotated[float | None, tyro.conf.arg(metavar="VARIANCE")] = None
    """Weigh prompts and models less that are nearly copies: whose payoffs differ by noise of this
    variance, in squared payoff."""

    baseline: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Whom Arena-Hard's models were compared with, where the file does not say."""

    bootstrap: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Resample the data N times for intervals and tied groups; 0 leaves Bradley-Terry its sandwich
    intervals and others without."""

    resample: Literal["battles", "prompts", "halves", "outcomes"] | None = None
    """What is resampled: battles or prompts with replacement, random halves of the prompts, or the
    outcomes on each prompt. By default halves for equilibria (they ignore copies, and resampled
    prompts are copies), prompts for scores, else battles."""

    audit: bool = False
    """Audit redundancy: copies among prompts and models, and what copies would do to each method.
    Rates the evaluation some fifty times."""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the resampling, and of the audit's judge noise."""


def run(command: Rate) -> int:
    """Reads, rates, and prints the ratings."""
    from evaluation.ratings import RatingOptions, default_method, rate
    from evaluation.readers import read_evaluation
    from neupl.errors import UserError
    from neupl.progress import Progress

    if command.affinity is not None and not command.affinity > 0:
        raise UserError(f"--affinity {command.affinity}: expected a positive variance")
    where = _conditions(command.where)
    evaluation = read_evaluation(
        command.evaluation,
        data_format=command.format,
        where=where,
        outcome=command.outcome,
        baseline=command.baseline,
    )
    options = RatingOptions(
        form=command.form,
        missing=command.missing,
        groups=_groups(command, where),
        affinity_variance=command.affinity,
    )
    if command.method is None:
        method, reason = default_method(evaluation, options)
        methods = [method]
    else:
        methods, reason = command.method.split(","), ""
    results = []
    for name in methods:
        with Progress(f"rating by {name}", quiet=command.quiet, patience_s=1.0) as progress:
            told = dataclasses.replace(options, progress_fn=progress.update)
            results.append(rate(evaluation, name.strip(), told))
    uncertainty = _uncertainty(command, evaluation, results[0], options)
    audit = None
    if command.audit:
        audit = run_audit(evaluation, options, seed=command.seed, quiet=command.quiet)
    notes = [note for note in (reason, *results[0].notes) if note]
    if command.json:
        content = _content(results, uncertainty, notes, evaluation)
        content["redundancy"] = audit and dataclasses.asdict(audit)
        print_json(content)
    else:
        _print(results, uncertainty, notes)
        if audit is not None:
            print_audit(audit)
    return 0


def _conditions(where: tuple[str, ...]) -> dict[str, str]:
    from neupl.errors import UserError

    conditions = {}
    for condition in where:
        name, equals, value = condition.partition("=")
        if not (equals and name):
            raise UserError(f"--where {condition!r}: expected COLUMN=VALUE")
        conditions[name.strip()] = value.strip()
    return conditions


def _groups(command: Rate, where: Mapping[str, str]) -> dict[str, str] | None:
    """The group of each prompt, from the data or from another file."""
    from evaluation.readers import read_groups

    if command.groups is None:
        return None
    file, colon, column = command.groups.rpartition(":")
    if colon:
        return read_groups(Path(file), column)
    return read_groups(command.evaluation, column, where=where)


def _uncertainty(
    command: Rate, evaluation: "Evaluation", result: "RatingResult", options: "RatingOptions"
) -> "Uncertainty | None":
    from evaluation.types import Battles, Scores
    from evaluation.uncertainty import from_covariance, resample
    from neupl.errors import UserError
    from neupl.progress import Progress

    if command.resample and not command.bootstrap:
        raise UserError(f"--resample {command.resample} needs --bootstrap N: how often")
    if not command.bootstrap:
        return None if result.covariance is None else from_covariance(result)
    if not isinstance(evaluation, Battles | Scores):
        raise UserError(
            "--bootstrap needs battles or scores; a payoff tensor has nothing to resample"
        )
    with Progress("resampling", quiet=command.quiet, patience_s=1.0) as progress:
        return resample(
            evaluation,
            result,
            options,
            num_draws=command.bootstrap,
            what=command.resample,
            seed=command.seed,
            progress_fn=lambda done: progress.update(done, command.bootstrap),
        )


def _content(
    results: list["RatingResult"],
    uncertainty: "Uncertainty | None",
    notes: list[str],
    evaluation: "Evaluation",
) -> dict[str, Any]:
    """The JSON object."""
    from games.normal_form import NormalForm

    first, ranks = results[0], results[0].ranks()
    ratings = []
    for k in first.order():
        entry: dict[str, Any] = {
            "name": first.models[k],
            "rating": first.ratings[k],
            "rank": ranks[k],
            "interval": None,
            "tied_group": ranks[k],
        }
        if uncertainty is not None:
            entry["interval"] = [uncertainty.low[k], uncertainty.high[k]]
            entry["tied_group"] = uncertainty.tied_group[k] + 1
        if first.attribution is not None:
            entry["mass"] = first.attribution.model_masses[k]
        ratings.append(entry)
    tensor = isinstance(evaluation, NormalForm)
    content = {
        "ratings": ratings,
        "method": first.method,
        "unit": first.unit,
        "tolerance": first.tolerance,
        "status": first.status,
        "certificate": first.certificate and dataclasses.asdict(first.certificate),
        "interval": None if uncertainty is None else uncertainty.how,
        "models": len(first.models),
        "prompts": None if tensor else len(evaluation.prompts),
        "notes": notes,
        "others": [
            {
                "method": other.method,
                "unit": other.unit,
                "status": other.status,
                "certificate": other.certificate and dataclasses.asdict(other.certificate),
                "ratings": dict(zip(other.models, other.ratings, strict=True)),
            }
            for other in results[1:]
        ],
    }
    if first.attribution is not None:
        made = first.attribution
        content["prompt_masses"] = dict(zip(made.prompts, made.prompt_masses, strict=True))
    return content


def _print(
    results: list["RatingResult"], uncertainty: "Uncertainty | None", notes: list[str]
) -> None:
    first, ranks = results[0], results[0].ranks()
    header = ["rank", "model", first.method]
    if uncertainty is not None:
        header += ["95 %", "group"]
    if first.attribution is not None:
        header.append("mass")
    header += [other.method for other in results[1:]]
    rows = []
    for k in map(int, first.order()):
        row = [ranks[k], first.models[k], _number(first, k)]
        if uncertainty is not None:
            row += [
                f"{_text(first, uncertainty.low[k])} to {_text(first, uncertainty.high[k])}",
                uncertainty.tied_group[k] + 1,
            ]
        if first.attribution is not None:
            row.append(f"{first.attribution.model_masses[k]:.4f}")
        rows.append(
            row + [_number(other, other.models.index(first.models[k])) for other in results[1:]]
        )
    print_table(rows, header=header)
    print()
    print_table(_footer(results, uncertainty, notes))


def _footer(results, uncertainty, notes):
    from evaluation.ratings import METHOD_NOTES

    for result in results:
        yield result.method, f"{METHOD_NOTES[result.method]}; in {result.unit}"
        if result.certificate is not None:
            value = result.certificate.value
            yield "", f"{result.certificate.quantity} {value:.3g}, exact; {result.status}"
        else:
            yield "", result.status
    if results[0].attribution is not None:
        yield "mass", "how often the model is drawn for the king; it orders models of equal rank"
    if uncertainty is not None:
        yield "95 %", f"{uncertainty.how}; a group is not told apart from its best model"
    for note in notes:
        yield "note", note


def _number(result: "RatingResult", k: int) -> str:
    return _text(result, result.ratings[k])


def _text(result: "RatingResult", value: float) -> str:
    digits = 1 if "Elo" in result.unit else 5
    # A loss of nothing is no negative number.
    return f"{value + 0.0:.{digits}f}" if abs(value) > result.tolerance else f"{0.0:.{digits}f}"
