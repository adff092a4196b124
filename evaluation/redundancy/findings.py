"""What an audit found, one plain sentence per finding."""

from collections.abc import Iterator, Sequence

from evaluation.redundancy.types import (
    BRADLEY_TERRY,
    RATERS,
    CloneEffect,
    CopyClass,
    NearCopies,
    StressCurve,
    StressPoint,
)

_TITLES = {rater.name: rater.title for rater in RATERS}
# Ratings that move by less did not move; the largest allowed gap of an equilibrium.
UNMOVED = 1e-6


def findings(
    copies: Sequence[CopyClass],
    near: Sequence[NearCopies],
    noise_measured: bool,
    curves: Sequence[StressCurve],
    clones: Sequence[CloneEffect],
) -> tuple[str, ...]:
    """Sentences on copies found, near-copies, copy stress, and clones, in this order."""
    return (
        *(_copies(kind, copies) for kind in (("prompts", "models") if near or copies else ())),
        *(_near(part, noise_measured) for part in near),
        *(_curve(curve) for curve in curves),
        *_clones(clones),
    )


def _copies(kind: str, copies: Sequence[CopyClass]) -> str:
    own = [each.members for each in copies if each.kind == kind]
    if not own:
        return f"No two {kind} are exact copies of each other."
    number = sum(map(len, own))
    largest = max(own, key=len)
    shown = ", ".join(largest[:3]) + (" ..." if len(largest) > 3 else "")
    classes = "1 class" if len(own) == 1 else f"{len(own):,} classes"
    return (
        f"{number:,} {kind} form {classes} of exact copies, which count once in equilibrium "
        f"ratings; the largest has {len(largest):,} ({shown})."
    )


def _near(part: NearCopies, measured: bool) -> str:
    how = "as measured on repeated verdicts" if measured else "an assumption"
    floor = f"a judge with {part.noise:.0%} random verdicts ({how})"
    if part.num_pairs:
        text = (
            f"{part.num_near:,} of {part.num_items:,} {part.kind} have another one as near "
            f"({part.num_pairs:,} pairs) as a copy judged again by {floor}, so that outcomes alone "
            "do not tell which are copies"
        )
    else:
        text = f"No two {part.kind} are as near as a copy judged again by {floor}"
    if not part.nearest:
        return f"{text}."
    pair = part.nearest[0]
    return (
        f"{text}; the nearest, {pair.first} and {pair.second}, are as far apart as copies with "
        f"{pair.noise:.0%} random verdicts."
    )


def _curve(curve: StressCurve) -> str:
    last = {point.rater: point for point in curve.points}
    first = {point.rater: point for point in reversed(curve.points)}
    extra = max(point.extra for point in curve.points)
    noise = f" with {curve.noise:.0%} of their cells judged anew" if curve.noise else ""
    what = f"{extra:,} copies of {curve.target}'s {len(curve.prompts)} {curve.order} prompts{noise}"
    return f"{what}: " + "; ".join(_move(first[name], last[name]) for name in last) + "."


def _move(before: StressPoint, after: StressPoint) -> str:
    title = _TITLES[after.rater]
    if after.largest_change <= UNMOVED:
        return f"by {title} no rating moves by more than {UNMOVED:g}"
    where = f"goes from rank {before.rank} to {after.rank}"
    if after.rank == before.rank:
        where = f"stays at rank {after.rank}"
    return f"by {title} it {where}, ratings move by up to {_size(after)}"


def _size(measured: StressPoint | CloneEffect) -> str:
    unit = " Elo points" if measured.rater == BRADLEY_TERRY.name else ""
    return f"{measured.largest_change:.3g}{unit}"


def _clones(clones: Sequence[CloneEffect]) -> Iterator[str]:
    for target in dict.fromkeys(effect.target for effect in clones):
        own = [effect for effect in clones if effect.target == target]
        moves = [_clone_move(effect) for effect in own]
        yield f"{own[0].clones:,} clones of {target}: " + "; ".join(moves) + "."


def _clone_move(effect: CloneEffect) -> str:
    title = _TITLES[effect.rater]
    if effect.largest_change <= UNMOVED:
        return f"by {title} no rating moves by more than {UNMOVED:g}"
    pairs = {0: "no pair swaps", 1: "1 pair swaps"}.get(
        effect.inversions, f"{effect.inversions:,} pairs swap"
    )
    return f"by {title} ratings of the originals move by up to {_size(effect)}, {pairs}"
