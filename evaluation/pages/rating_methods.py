"""Methods and certificates in plain words: what was computed, and whether exactly or estimated."""

from evaluation.equilibrium_ratings import MAX_GAP
from evaluation.pages.page import text
from evaluation.pages.rating_report import RatingReport
from evaluation.ratings import METHOD_NOTES
from evaluation.types import RatingResult
from evaluation.uncertainty import Uncertainty
from games.normal_form import NormalForm

# What the gap of a certificate is.
_GAINS = {
    "nash_conv": "what the players together gain by each playing its best strategy (NashConv)",
    "exploitability": "what a player gains on average by its best strategy (exploitability)",
    "cce_gain": "what the players together gain by committing to a strategy each (CCE gain)",
    "cce_gap": "what the players together gain by committing to a strategy each (CCE gap)",
    "ce_gap": "what the players together gain by changing what was drawn for them (CE gap)",
}
_METHODS = {
    "exact": "exact: computed over all strategies, not estimated",
    "sampled": "estimated from samples",
    "trained_best_response": "a lower bound, estimated by a trained best response",
}


def methods_section(report: RatingReport) -> str:
    """HTML: every method with what it is, its certificate, and what its intervals mean."""
    parts = []
    for result, uncertainty in zip(report.results, report.uncertainties, strict=True):
        role = "ranks" if result is report.first else "beside it"
        parts.append(f"<h3>{text(result.method)} <span>({role})</span></h3>")
        note = METHOD_NOTES.get(result.method, "")
        lines = [
            f"{note[:1].upper()}{note[1:]}. A rating counts {result.unit}.",
            certificate_words(result),
            uncertainty_words(result, uncertainty),
            f"Models within {result.tolerance:.2g} of each other share a rank.",
        ]
        parts.append("<ul>" + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>")
    if report.first.attribution is not None and not isinstance(report.evaluation, NormalForm):
        parts.append(f"<h3>How to read an equilibrium rating</h3><p>{text(_GAME)}</p>")
    return "\n".join(parts)


_GAME = (
    "One player chooses what is asked, a king and a rebel choose the model that answers. King and "
    "rebel want to win, the first player wants their answers to differ. At an equilibrium no "
    "player gains by deviating; a model's rating is what the king would gain by always playing it, "
    "which is never more than 0. Exact copies of prompts or models count once and cannot move a "
    "rating. Models of equal rating stand in the order of how often they are king."
)


def certificate_words(result: RatingResult) -> str:
    """How well the method's own equations are met, and whether that is exact or estimated."""
    certificate = result.certificate
    if certificate is None:
        return f"No equilibrium stands behind it. Computed, not sampled: {result.status}."
    words = (
        f"Gap reached: {certificate.value:.3g}, {_GAINS[certificate.quantity]}. "
        f"This is {_METHODS[certificate.method]}."
    )
    if certificate.interval is not None:
        low, high = certificate.interval
        words += f" Its interval is {low:.3g} to {high:.3g}."
    if certificate.openspiel_value is not None:
        words += f" OpenSpiel measured {certificate.openspiel_value:.3g}."
    if result.attribution is not None:
        words += f" Above {MAX_GAP:g} of the payoff range there would be no ranking."
    return f"{words} Solver: {result.status}; {result.seconds:.2g} s."


def uncertainty_words(result: RatingResult, uncertainty: Uncertainty | None) -> str:
    """Where the intervals come from, or that there are none."""
    if uncertainty is not None:
        return f"Intervals are estimated: {uncertainty.how}."
    return "No intervals: how the ratings vary with the data was not estimated."
