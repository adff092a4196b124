"""The picture of a solve is drawn whatever the curve looks like."""

import struct

import pytest

from neupl.convergence_picture import save_convergence
from solvers.types import Certificate


def certificate(value):
    return Certificate(
        quantity="cce_gap",
        value=value,
        per_player=(value, -0.5),
        object="jpsro-cce joint of $run_1$",
        method="exact",
        interval=None,
        openspiel_value=None,
        game="kuhn_poker",
        seconds=0.1,
    )


def lines(gaps):
    return [
        {"step": step, "eval/cce_gap": gap, "time/elapsed_s": 0.01 * step}
        for step, gap in enumerate(gaps, start=1)
    ]


@pytest.mark.parametrize(
    "gaps",
    [[1.0], [1.0, 0.1, 0.0], [0.0], [3.0, None, 1e-16], [1 / t for t in range(1, 3000)], []],
    ids=["one", "to zero", "zero", "gap in the curve", "long", "none"],
)
def test_picture_is_a_png_of_the_promised_size(gaps, tmp_path):
    path = tmp_path / "convergence.png"
    save_convergence(
        path,
        game="kuhn_poker(players=3)",
        metrics=lines(gaps),
        certificate=certificate(gaps[-1] if gaps else 0.25),
        payoff_range=4.0,
        note="by hand",
    )
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (1400, 650)
