"""What a certificate says, in words."""

from solvers.open_spiel_check import GAP_TOLERANCE
from solvers.types import Certificate

_METHODS = {
    "exact": "exact",
    "sampled": "sampled",
    "trained_best_response": "lower bound by a trained best response",
}
QUANTITY_NAMES = {
    "nash_conv": "NashConv",
    "exploitability": "exploitability",
    "cce_gap": "CCE gap",
    "ce_gap": "CE gap",
    "cce_gain": "CCE gain",
    "mean_return": "mean return",
}


def certificate_text(certificate: Certificate, payoff_range: float) -> str:
    """Says in one line what was measured, how, and whether OpenSpiel agrees.

    Args:
      certificate: of a mixture.
      payoff_range: greatest minus least payoff of the game, in game points.
    """
    text = f"{QUANTITY_NAMES[certificate.quantity]} {certificate.value:.4g} points"
    if payoff_range > 0:
        text += f" ({certificate.value / payoff_range:.2g} of the payoff range)"
    text += f": {_METHODS[certificate.method]}"
    if certificate.interval is not None:
        low, high = certificate.interval
        text += f", interval {low:.4g} to {high:.4g}"
    theirs = certificate.openspiel_value
    if theirs is None:
        return f"{text}, not checked with OpenSpiel"
    agrees = abs(theirs - certificate.value) <= GAP_TOLERANCE
    return f"{text}, OpenSpiel {'agrees' if agrees else 'DISAGREES'}: {theirs:.4g}"
