"""The page that plays replays: self-contained, and no other program is needed to watch them."""

import base64
from collections.abc import Sequence
from typing import Any

from evaluation.pages.page import Section, name, page, text
from evaluation.pages.tables import Cell, Column, table
from evaluation.physics_replay import coordinates, model_content, physics_of
from evaluation.replay import Replay, bytes_of
from evaluation.replay_frames import frames

ASSETS = ("replay.css", "scenes.js", "physics.js", "replay.js")
# Possibilities of a belief that are shown, the likeliest.
MAX_BELIEVED = 12
# Steps a second that a reader may choose, and the first of them.
SPEEDS, FIRST_SPEED = (0.5, 1, 2, 5, 10, 25, 40, 60, 500), 1


def replay_page(replays: Sequence[tuple[str, Replay]], *, of: int | None = None) -> str:
    """The page of some replays, named in the order in which they can be chosen.

    Args:
      replays: names and replays.
      of: how many there are in all; by default no more than these.

    Raises:
      ValueError: there is no replay.
      DataError: the steps of one are not those of its game.
      GameError: a game cannot be loaded.
    """
    if not replays:
        raise ValueError("a page needs at least one replay")
    games = sorted({replay.game for _, replay in replays})
    title = f"Replays: {', '.join(games[:3])}" + (" …" if len(games) > 3 else "")
    sections = [
        Section("watch", "Watch", viewer()),
        Section("episodes", "Episodes", _episodes(replays)),
    ]
    embedded = {"replays": [replay_content(label, replay) for label, replay in replays]}
    lead = ""
    if of is not None and of > len(replays):
        words = f"The first {len(replays):,} of {of:,}; `neupl replay FILE` shows the others."
        lead = f'<p class="lead">{text(words)}</p>'
    return page(title, sections, lead=lead, embedded=embedded, assets=ASSETS)


def viewer() -> str:
    """The viewer's elements; the script `replay.js` brings them to life."""
    speeds = "".join(
        f'<option value="{speed}"{" selected" if speed == FIRST_SPEED else ""}>{speed:g} a second'
        "</option>"
        for speed in SPEEDS
    )
    return f"""<noscript><p>Watching needs JavaScript; the table below does not.</p></noscript>
<div class="viewer" id="viewer">
<div class="controls">
<label>Episode <select id="replay"></select></label> <span id="about" class="quiet"></span>
</div>
<div class="controls" role="group" aria-label="Playback">
<button type="button" id="first">First</button>
<button type="button" id="back">Back</button>
<button type="button" id="play" aria-pressed="false">Play</button>
<button type="button" id="forward">Forward</button>
<button type="button" id="last">Last</button>
<label>Speed <select id="speed">{speeds}</select></label>
<input type="range" id="position" min="0" max="0" value="0" aria-label="Step">
<span id="count"></span>
<label><input type="checkbox" id="as-words"> As text</label>
</div>
<div class="stage" tabindex="0" role="region" aria-label="State of the game">
<svg id="scene" role="img" aria-label="The state, drawn; tick As text to read it"></svg>
<pre id="words"></pre>
</div>
<div>
<div id="moves"></div>
<div id="beliefs"></div>
<div class="scroll" tabindex="0" role="region" aria-label="Payoff so far">
<table><caption>Payoff so far, in game points</caption>
<thead><tr><th scope="col">Seat</th><th scope="col">Strategy</th>
<th scope="col" class="number">Paid</th></tr></thead><tbody id="returns"></tbody></table></div>
<details id="known-part"><summary>What the seat to move knows</summary>
<pre id="known"></pre></details>
</div>
</div>
<p class="keys">Keys: <kbd>space</kbd> play and pause, <kbd>←</kbd> <kbd>→</kbd> a step,
<kbd>Home</kbd> <kbd>End</kbd>, <kbd>+</kbd> <kbd>-</kbd> speed, <kbd>t</kbd> text.
<span id="space-keys" hidden>The view turns and comes nearer by dragging and the wheel, or by
<kbd>[</kbd> <kbd>]</kbd>, <kbd>{{</kbd> <kbd>}}</kbd>, <kbd>&lt;</kbd> <kbd>&gt;</kbd>.</span>
</p>"""


def replay_content(label: str, replay: Replay) -> dict[str, Any]:
    """A replay as the viewer reads it: frames whose texts stand once in a list of strings."""
    strings: dict[str, int] = {}

    def index(words: str) -> int:
        return strings.setdefault(words, len(strings))

    shown = []
    for frame in frames(replay):
        moves = []
        for move in frame.moves:
            options = [
                [index(option), None if share is None else _short(share)]
                for option, share in move.options
            ]
            moves.append([move.seat, index(move.action), options])
        beliefs = [
            [
                index(about),
                [[index(words), _short(share)] for words, share in shares[:MAX_BELIEVED]],
            ]
            for about, shares in frame.beliefs
        ]
        shown.append(
            {
                "t": index(frame.text),
                "k": [index(words) for words in frame.known],
                "m": moves,
                "r": [float(f"{paid:.6g}") for paid in frame.returns],
                "s": frame.scene,
                **({"b": beliefs} if beliefs else {}),
            }
        )
    lost = replay.forfeit
    return {
        "name": label,
        "game": replay.game,
        "seed": str(replay.seed),
        "seats": list(replay.seats),
        "forfeit": lost and f"Seat {lost.seat} forfeits ({lost.reason}): {lost.detail}",
        "strings": list(strings),
        "frames": shown,
        **({"physics": _physics(replay)} if replay.driver == "physics" else {}),
    }


def _physics(replay: Replay) -> dict[str, Any]:
    """What is drawn, and the coordinates of all moments, float32 in base64."""
    moments = coordinates(replay)
    model = model_content(physics_of(replay))
    return {"model": model, "coordinates": base64.b64encode(bytes_of(moments)).decode()}


def _short(share: float) -> float:
    return float(f"{share:.4g}")


def _episodes(replays: Sequence[tuple[str, Replay]]) -> str:
    rows = []
    for label, replay in replays:
        seats = ", ".join(map(name, replay.seats))
        returns = ", ".join(f"{paid:+g}" for paid in replay.returns)
        lost = replay.forfeit
        rows.append(
            [
                Cell(name(label), label, head=True),
                Cell(seats, " ".join(replay.seats)),
                Cell(str(len(replay.steps)), len(replay.steps)),
                Cell(text(returns)),
                Cell("" if lost is None else text(f"seat {lost.seat}: {lost.reason}")),
            ]
        )
    columns = [
        Column("Episode", kind="text", sorted_by=True),
        Column("Seats", kind="text"),
        Column("Steps"),
        Column("Returns"),
        Column("Forfeit", kind="text"),
    ]
    caption = "Returns of the seats in their order, in game points."
    return table("Episodes", caption, columns, rows, sortable=True)
