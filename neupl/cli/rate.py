"""`neupl rate`: ratings of models from battles, scores or payoffs, or of a run's strategies."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from neupl.cli.options import OutputOptions, WorkerOptions
from neupl.cli.output import print_json, print_table
from neupl.cli.rate_audit import print_audit, run_audit
from neupl.cli.rate_run import read_population

if TYPE_CHECKING:
    from evaluation.pages import RatingReport
    from evaluation.ratings import Evaluation, RatingOptions
    from evaluation.types import RatingResult
    from evaluation.uncertainty import Uncertainty

# Methods that stand beside the first one in a report, if none were asked for: those that take no
# longer than reading the data.
COMPANIONS = ("bradley_terry", "win_rate", "nash_averaging", "copeland")
# Instead of a column: copies of prompts are looked for.
FOUND = "found"
# The same for payoffs of so many entries at most: other equilibria.
TENSOR_COMPANIONS, SMALL_TENSOR = ("nash", "deviation"), 30_000
# Another one, for battles that say how long or how formatted the answers were.
STYLE_CONTROL = "style_control"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate(WorkerOptions, OutputOptions):
    """Rates models from battles, scores or payoffs, or the strategies of a run, with a certificate.

    The primary method is an equilibrium of a game between a player that chooses prompts, a king
    and a rebel: exact copies of prompts or models cannot move its ratings. Data are CSV, TSV, JSON,
    JSON lines or Parquet, also gzipped: battles (`model_a,model_b,winner`, `left,right,winner`, or
    an `outcome` in [0, 1]), scores (`model,prompt,score` or a wide table), judgments of Arena-Hard
    and AlpacaEval; or payoffs (`.npy`, `.npz`, `.json`, `.nfg`). Of payoffs and of a run folder, or
    of an exported population, the strategies of one seat are rated; of the folder of a tournament,
    its entrants.
    """

    evaluation: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA|RUN")]
    """The file, or the folder of a run, of a population or of a tournament."""

    method: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """One or more methods; the first one ranks, the others stand beside it. `cce`, `ce`, `nash` and
    `deviation` (equilibria), `nash_averaging`, `nash_averaging_tasks`, `alpha_rank`,
    `bradley_terry`, `style_control`, `davidson`, `elo`, `win_rate`, `borda`, `copeland`,
    `ranked_pairs`, `schulze`, `maximal_lotteries`. By default cce, or bradley_terry where battles
    leave most pairs out."""

    groups: Annotated[str | None, tyro.conf.arg(metavar="[FILE:]COLUMN|found")] = None
    """Prompts that belong together count once: the column that names each prompt's group, of DATA
    or of another file with a column of prompts. Copies within a group that were judged again count
    with their median. `found`: look for such copies in the outcomes, and in --texts."""

    texts: Annotated[str | None, tyro.conf.arg(metavar="[FILE:]COLUMN")] = None
    """The column with each prompt's text, or its beginning, for `--groups found`: copies may be
    reworded."""

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

    seat: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Whose strategies are rated, of payoffs or a run: 0 for the first player."""

    missing: Literal["drop", "tie"] = "drop"
    """Prompts on which not everything was measured are left out, or what is missing counts as
    ties."""

    affinity: Annotated[float | None, tyro.conf.arg(metavar="VARIANCE")] = None
    """Weigh prompts and models less that are nearly copies: whose payoffs differ by noise of this
    variance, in squared payoff."""

    style: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """What `style_control` takes out of Bradley-Terry's ratings: differences of `length`, `tokens`,
    `characters`, `words`, `headers`, `lists` or `bold`, from columns such as `length_a` and
    `length_b`, LMArena's `conv_metadata`, or the answers themselves. By default all there are."""

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
    Rates the evaluation some sixty times; stands in the --report too."""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the resampling, and of the audit's judge noise."""

    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """Write a self-contained page, and tables (CSV), all numbers (JSON) and pictures (PNG, SVG)
    beside it under the same name. Without --method other methods stand beside the one that
    ranks."""

    categories: Annotated[str | None, tyro.conf.arg(metavar="[FILE:]COLUMN")] = None
    """The column that names each prompt's category, to add attributions up by in the report; it
    changes no rating. By default that of --groups."""


def run(command: Rate) -> int:
    """Reads, rates, and prints the ratings."""
    from evaluation.pages import RatingReport, rating_content
    from evaluation.ratings import RatingOptions, default_method
    from evaluation.readers import is_tournament, read_evaluation
    from evaluation.uncertainty import from_covariance
    from neupl.errors import UserError

    if command.affinity is not None and not command.affinity > 0:
        raise UserError(f"--affinity {command.affinity}: expected a positive variance")
    _check_report(command)
    if command.style is not None and STYLE_CONTROL not in _listed(command.method or ""):
        raise UserError(f"--style {command.style} needs --method {STYLE_CONTROL}")
    finds = command.groups == FOUND
    if command.texts is not None and not finds:
        raise UserError(f"--texts {command.texts} needs --groups {FOUND}")
    where = _conditions(command.where)
    told: tuple[str, ...] = ()
    if command.evaluation.is_dir() and not is_tournament(command.evaluation):
        _refuse_of_population(command)
        evaluation, told = read_population(command.evaluation, quiet=command.quiet)
    else:
        evaluation = read_evaluation(
            command.evaluation,
            data_format=command.format,
            where=where,
            outcome=command.outcome,
            baseline=command.baseline,
            style=_wants_style(command),
        )
    options = RatingOptions(
        seat=command.seat,
        form=command.form,
        missing=command.missing,
        groups=None if finds else _by_prompt(command.groups, command, where),
        find_groups=finds,
        texts=_by_prompt(command.texts, command, where),
        affinity_variance=command.affinity,
        styles=None if command.style is None else _listed(command.style),
    )
    categories = _by_prompt(command.categories, command, where) or options.groups
    if command.method is None:
        method, reason = default_method(evaluation, options)
        methods = [method]
    else:
        methods, reason = list(_listed(command.method)), ""
    results = [_rated(command, evaluation, name, options) for name in methods]
    uncertainty = _uncertainty(command, evaluation, results[0], options)
    audit = None
    if command.audit:
        audit = run_audit(evaluation, options, seed=command.seed, quiet=command.quiet)
    notes = [note for note in (reason, *told, *results[0].notes) if note]
    if command.report is not None and command.method is None:
        results += _companions(command, evaluation, results[0], options, notes)
    others = [None if r.covariance is None else from_covariance(r) for r in results[1:]]
    report = RatingReport(
        evaluation=evaluation,
        results=tuple(results),
        uncertainties=(uncertainty, *others),
        notes=tuple(notes),
        categories=categories,
        missing=command.missing,
        seat=command.seat,
        audit=audit,
    )
    files = []
    if command.report is not None:
        files = _write_report(command.report, command.evaluation, report)
    if command.json:
        content = rating_content(report)
        if files:
            content["files"] = files
        print_json(content)
    else:
        _print(results, uncertainty, notes, files)
        if audit is not None:
            print_audit(audit)
    return 0


def _rated(
    command: Rate, evaluation: "Evaluation", method: str, options: "RatingOptions"
) -> "RatingResult":
    from evaluation.ratings import rate
    from neupl.progress import Progress

    with Progress(f"rating by {method}", quiet=command.quiet, patience_s=1.0) as progress:
        told = dataclasses.replace(options, progress_fn=progress.update)
        return rate(evaluation, method, told)


def _companions(
    command: Rate,
    evaluation: "Evaluation",
    first: "RatingResult",
    options: "RatingOptions",
    notes: list[str],
) -> "list[RatingResult]":
    """What people know beside the first ratings; a method that cannot rate these data is noted."""
    from evaluation.types import Battles, DataError
    from games.normal_form import NormalForm
    from solvers.types import SolverError

    results, methods = [], COMPANIONS
    if isinstance(evaluation, NormalForm):
        small = evaluation.payoffs.size <= SMALL_TENSOR
        methods = TENSOR_COMPANIONS if small else ()
    if isinstance(evaluation, Battles) and evaluation.styles:
        methods += (STYLE_CONTROL,)
    for method in methods:
        if method != first.method:
            try:
                results.append(_rated(command, evaluation, method, options))
            except (DataError, SolverError) as error:
                notes.append(f"not rated by {method}: {error}")
    return results


def _check_report(command: Rate) -> None:
    """Refuses before the work what could not be written after it."""
    from neupl.errors import UserError

    path = command.report
    if path is None:
        if command.categories is not None:
            raise UserError(f"--categories {command.categories} needs --report FILE.html")
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--report {path}: expected a name that ends in .html")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--report {path}: there is no folder {path.parent}")


def _write_report(path: Path, source: Path, report: "RatingReport") -> list[str]:
    """Writes the page and what stands beside it; returns the paths, the page's first."""
    from evaluation.pages import rating_files
    from neupl.durable_files import write_durably
    from neupl.errors import UserError

    contents = rating_files(report, path.name)
    targets = {path.with_name(name).resolve() for name in contents}
    if source.resolve() in targets:
        raise UserError(f"--report {path}: this would overwrite {source}; choose another name")
    try:
        # The page names the others and comes last.
        for name, content in reversed(contents.items()):
            write_durably(path.with_name(name), content)
    except OSError as error:
        raise UserError(f"--report {path}: {error.strerror or error}") from error
    return [str(path.with_name(name)) for name in contents]


def _refuse_of_population(command: Rate) -> None:
    """Refuses options that are about files of battles or scores."""
    from neupl.errors import UserError

    names = ("groups", "texts", "categories", "where", "outcome", "format", "baseline", "style")
    given = next((name for name in names if getattr(command, name)), None)
    if given is not None:
        raise UserError(f"--{given} is for files; {command.evaluation} is a folder")
    command.refuse_workers("shares out the draws of --bootstrap N, which is for files")


def _wants_style(command: Rate) -> bool:
    """Whether a method needs to know how long or how formatted answers were."""
    if command.method is None:
        return command.report is not None
    return STYLE_CONTROL in _listed(command.method)


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(","))


def _conditions(where: tuple[str, ...]) -> dict[str, str]:
    from neupl.errors import UserError

    conditions = {}
    for condition in where:
        name, equals, value = condition.partition("=")
        if not (equals and name):
            raise UserError(f"--where {condition!r}: expected COLUMN=VALUE")
        conditions[name.strip()] = value.strip()
    return conditions


def _by_prompt(
    column: str | None, command: Rate, where: Mapping[str, str]
) -> dict[str, str] | None:
    """What a column says of each prompt, from the data or from another file."""
    from evaluation.readers import read_groups

    if column is None:
        return None
    file, colon, name = column.rpartition(":")
    if colon:
        return read_groups(Path(file), name)
    return read_groups(command.evaluation, name, where=where)


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
        command.refuse_workers("shares out the draws of --bootstrap N")
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
            make_map=command.make_workers().map,
        )


def _print(
    results: list["RatingResult"],
    uncertainty: "Uncertainty | None",
    notes: list[str],
    files: list[str],
) -> None:
    from evaluation.pages.rating_report import rating_text

    first, ranks = results[0], results[0].ranks()
    header = ["rank", "model", first.method]
    if uncertainty is not None:
        header += ["95 %", "group"]
    if first.attribution is not None:
        header.append("mass")
    header += [other.method for other in results[1:]]
    rows = []
    for k in map(int, first.order()):
        row = [ranks[k], first.models[k], rating_text(first, first.ratings[k])]
        if uncertainty is not None:
            ends = (rating_text(first, end[k]) for end in (uncertainty.low, uncertainty.high))
            row += [" to ".join(ends), uncertainty.tied_group[k] + 1]
        if first.attribution is not None:
            row.append(f"{first.attribution.model_masses[k]:.4f}")
        for other in results[1:]:
            own = other.ratings[other.models.index(first.models[k])]
            row.append(rating_text(other, own))
        rows.append(row)
    print_table(rows, header=header)
    print()
    print_table(_footer(results, uncertainty, notes, files))


def _footer(results, uncertainty, notes, files):
    from evaluation.ratings import METHOD_NOTES

    for result in results:
        yield result.method, f"{METHOD_NOTES[result.method]}; in {result.unit}"
        if result.certificate is not None:
            value = result.certificate.value
            yield "", f"{result.certificate.quantity} {value:.3g}, exact; {result.status}"
        else:
            yield "", result.status
    if results[0].attribution is not None:
        yield "mass", "how often it is drawn for the rated player; it orders what has equal rank"
    if uncertainty is not None:
        yield "95 %", f"{uncertainty.how}; a group is not told apart from its best model"
    for note in notes:
        yield "note", note
    for file in files:
        yield "wrote", file
