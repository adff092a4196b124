"use strict";
(() => {
  const game = JSON.parse(document.getElementById("page-data").textContent);
  const element = (id) => document.getElementById(id);
  const make = (tag, words, name) => {
    const made = document.createElement(tag);
    if (words !== undefined) made.textContent = words;
    if (name) made.className = name;
    return made;
  };
  const children = game.player.map(() => []);
  game.parent.forEach((parent, node) => {
    if (parent >= 0) children[parent].push(node);
  });
  const [opponent, seat] = [element("opponent"), element("seat")];
  let node = 0;
  let moves = [];
  let total = 0;
  let games = 0;

  const me = () => Number(seat.value);
  const table = () => game.opponents[Number(opponent.value)].table;
  const signed = (value) => `${value > 0 ? "+" : ""}${Number(value.toFixed(4))}`;
  // The first one whose cumulated weight is above a random number.
  const drawn = (weights) => {
    let left = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
    const found = weights.findIndex((weight) => (left -= weight) < 0);
    return found < 0 ? weights.length - 1 : found;
  };
  const label = (action) => game.labels[game.infoset[node]][action];

  const draw = (scene, words) => {
    const svg = element("scene");
    svg.replaceChildren();
    svg.classList.toggle("absent", scene < 0);
    if (scene >= 0) neuplScenes.draw[game.scenes[scene].kind](svg, game.scenes[scene], words);
    element("words").textContent = words;
  };
  const showLog = (over) => {
    element("log").replaceChildren(
      ...moves.map((move) => {
        const item = make("li", `${move.mine ? "You" : `Seat ${move.player}`}: ${move.name}`);
        if (over && !move.mine) {
          const thought = move.options.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
          item.append(make("span", ` (${thought.join(", ")})`, "thought"));
        }
        return item;
      }),
    );
  };
  const act = (action) => {
    const next = children[node].find((child) => game.action[child] === action);
    moves.push({ player: game.player[node], mine: true, name: label(action) });
    node = next;
    go();
  };
  const finish = () => {
    const terminal = game.terminal[node];
    const paid = game.returns[terminal][me()];
    total += paid;
    games += 1;
    draw(game.end_scene[terminal], game.end_words[terminal]);
    element("prompt").textContent = `The game is over: you get ${signed(paid)}`;
    const again = make("button", "New game");
    again.type = "button";
    again.addEventListener("click", begin);
    element("actions").replaceChildren(again);
    again.focus({ preventScroll: true });
    element("score").textContent = `${games} ${games === 1 ? "game" : "games"}, ${signed(total)} in all`;
    showLog(true);
    element("announcement").textContent = element("prompt").textContent;
  };
  const go = () => {
    while (game.terminal[node] < 0 && game.player[node] !== me()) {
      const next = children[node];
      if (game.player[node] < 0) {
        node = next[drawn(next.map((child) => game.probability[child]))];
        continue;
      }
      const row = table()[game.infoset[node]];
      const options = next.map((child) => [label(game.action[child]), row[game.action[child]]]);
      const chosen = drawn(options.map(([, share]) => share));
      moves.push({ player: game.player[node], mine: false, name: options[chosen][0], options });
      node = next[chosen];
    }
    if (game.terminal[node] >= 0) {
      finish();
      return;
    }
    const infoset = game.infoset[node];
    draw(game.infoset_scene[infoset], game.words[infoset]);
    element("prompt").textContent = "Your move";
    element("actions").replaceChildren(
      ...children[node].map((child) => {
        const button = make("button", label(game.action[child]));
        button.type = "button";
        button.addEventListener("click", () => act(game.action[child]));
        return button;
      }),
    );
    showLog(false);
    const last = moves.length ? moves[moves.length - 1] : null;
    const told = last && !last.mine ? `Seat ${last.player}: ${last.name}. ` : "";
    element("announcement").textContent = `${told}Your move: ${game.words[infoset]}`;
  };
  function begin() {
    node = 0;
    moves = [];
    go();
  }

  game.opponents.forEach((one, number) => {
    const option = make("option", one.name);
    option.value = number;
    opponent.append(option);
  });
  for (let number = 0; number < game.players; number += 1) {
    const option = make("option", String(number));
    option.value = number;
    seat.append(option);
  }
  opponent.addEventListener("change", begin);
  seat.addEventListener("change", begin);
  element("new").addEventListener("click", begin);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("select")) return;
    const buttons = element("actions").querySelectorAll("button");
    if (event.key === "n") begin();
    else if (/^[1-9]$/.test(event.key) && buttons[Number(event.key) - 1]) {
      buttons[Number(event.key) - 1].click();
    } else return;
    event.preventDefault();
  });
  begin();
})();
