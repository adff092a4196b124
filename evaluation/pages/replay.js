"use strict";
(() => {
  const replays = JSON.parse(document.getElementById("page-data").textContent).replays;
  const element = (id) => document.getElementById(id);
  const make = (tag, words, name) => {
    const made = document.createElement(tag);
    if (words !== undefined) made.textContent = words;
    if (name) made.className = name;
    return made;
  };
  const [choice, slider, play, speed] = ["replay", "position", "play", "speed"].map(element);
  const asWords = element("as-words");
  let current = replays[0];
  let place = 0;
  let playing = false;
  let stepped = 0;

  const last = () => current.frames.length - 1;
  const words = (index) => current.strings[index];
  const who = (seat) => (seat < 0 ? "chance" : `seat ${seat} (${current.seats[seat]})`);
  const signed = (value) => `${value > 0 ? "+" : ""}${Number(value.toFixed(4))}`;

  // Names with their shares as bars; the one that was chosen stands out.
  const bars = (shares, chosen) => {
    const list = make("ul", undefined, "shares");
    for (const [name, share] of shares) {
      const item = make("li", undefined, name === chosen ? "chosen" : "");
      item.append(make("span", words(name), "option"));
      const bar = make("span", undefined, "track");
      const filled = make("span", undefined, "filled");
      filled.style.width = `${100 * share}%`;
      bar.append(filled);
      item.append(bar, make("span", `${(100 * share).toFixed(1)} %`, "number"));
      list.append(item);
    }
    return list;
  };
  const showMoves = (frame) => {
    const parts = frame.m.map(([seat, action, options]) => {
      const part = make("div", undefined, "move");
      // A name cannot turn the direction of what follows it.
      const head = make("h3", seat < 0 ? "chance" : `seat ${seat} (`);
      if (seat >= 0) head.append(make("bdi", current.seats[seat]), ")");
      head.append(`: ${words(action)}`);
      part.append(head);
      const known = options.filter(([, share]) => share !== null);
      if (known.length) part.append(bars(known, action));
      else if (seat >= 0 && !current.physics) part.append(make("p", "Its probabilities are not known.", "quiet"));
      return part;
    });
    if (!frame.m.length) {
      parts.push(make("h3", current.forfeit || "The end"));
    }
    element("moves").replaceChildren(...parts);
    const beliefs = (frame.b || []).map(([about, shares]) => {
      const part = make("div", undefined, "belief");
      part.append(make("h3", `seat ${frame.m[0][0]} believes: ${words(about)}`), bars(shares));
      return part;
    });
    element("beliefs").replaceChildren(...beliefs);
  };

  const show = (announce) => {
    const frame = current.frames[place];
    const said = words(frame.t);
    slider.value = place;
    slider.setAttribute("aria-valuetext", `step ${place} of ${last()}`);
    element("count").textContent = `${place} / ${last()}`;
    const drawn = frame.s && !asWords.checked;
    const svg = element("scene");
    svg.replaceChildren();
    svg.classList.toggle("absent", !drawn);
    svg.classList.toggle("space", Boolean(drawn && current.physics));
    if (drawn) neuplScenes.draw[frame.s.kind](svg, frame.s, said, current, place);
    element("words").hidden = Boolean(drawn);
    element("words").textContent = said;
    element("known").textContent = frame.k.map((index) => words(index)).join("\n");
    element("known-part").hidden = !frame.k.length;
    showMoves(frame);
    element("returns").replaceChildren(
      ...current.seats.map((name, seat) => {
        const row = make("tr");
        row.append(make("td", `seat ${seat}`), make("td"), make("td", signed(frame.r[seat]), "number"));
        row.cells[1].append(make("bdi", name));
        return row;
      }),
    );
    if (announce) {
      const moves = frame.m.map(([seat, action]) => `${who(seat)}: ${words(action)}`).join("; ");
      element("announcement").textContent = `Step ${place}. ${moves || "The end"}`;
    }
  };
  const go = (where, announce = true) => {
    place = Math.min(Math.max(where, 0), last());
    show(announce);
  };
  const setPlaying = (on) => {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(on));
    if (on) {
      if (place === last()) go(0, false);
      stepped = performance.now();
      requestAnimationFrame(tick);
    }
  };
  const tick = (now) => {
    if (!playing) return;
    const due = Math.floor(((now - stepped) / 1000) * Number(speed.value));
    if (due > 0) {
      stepped += (1000 * due) / Number(speed.value);
      go(place + due, false);
      if (place === last()) {
        setPlaying(false);
        return;
      }
    }
    requestAnimationFrame(tick);
  };
  const step = (by) => {
    setPlaying(false);
    go(place + by);
  };
  const faster = (by) => {
    const index = Math.min(Math.max(speed.selectedIndex + by, 0), speed.options.length - 1);
    speed.selectedIndex = index;
  };
  const choose = (number) => {
    current = replays[number];
    slider.max = last();
    element("about").textContent = `${current.game}, seed ${current.seed}`;
    element("space-keys").hidden = !current.physics;
    // Physics plays in its own time.
    if (current.physics) {
      const rates = [...speed.options].map((option) => Number(option.value));
      speed.value = Math.max(...rates.filter((rate) => rate <= current.physics.model.rate), rates[0]);
    }
    asWords.disabled = !current.frames.some((frame) => frame.s);
    setPlaying(false);
    go(0);
  };

  play.addEventListener("click", () => setPlaying(!playing));
  element("first").addEventListener("click", () => step(-Infinity));
  element("back").addEventListener("click", () => step(-1));
  element("forward").addEventListener("click", () => step(1));
  element("last").addEventListener("click", () => step(Infinity));
  slider.addEventListener("input", () => {
    setPlaying(false);
    go(Number(slider.value), false);
  });
  asWords.addEventListener("change", () => show(false));
  choice.addEventListener("change", () => choose(Number(choice.value)));
  const keys = {
    " ": () => setPlaying(!playing),
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    Home: () => step(-Infinity),
    End: () => step(Infinity),
    "+": () => faster(1),
    "-": () => faster(-1),
    "[": () => neuplPhysics.turn(-0.25, 0),
    "]": () => neuplPhysics.turn(0.25, 0),
    "{": () => neuplPhysics.turn(0, 0.12),
    "}": () => neuplPhysics.turn(0, -0.12),
    "<": () => neuplPhysics.turn(0, 0, 0.8),
    ">": () => neuplPhysics.turn(0, 0, 1.25),
    t: () => {
      asWords.checked = !asWords.checked;
      show(false);
    },
  };
  document.addEventListener("keydown", (event) => {
    const inside = event.target.closest?.("input, select, button, summary, a");
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    // A control keeps its own keys.
    if (inside && (event.key === " " || inside.matches("input[type=range], select"))) return;
    event.preventDefault();
    keys[event.key]();
  });
  neuplPhysics.listen(element("scene"));
  replays.forEach((replay, number) => {
    const option = make("option", replay.name);
    option.value = number;
    choice.append(option);
  });
  // A link may open an episode at a step: page.html#episode=2&step=5.
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = Number(wanted.get("episode"));
  if (replays[number]) choice.value = number;
  choose(replays[number] ? number : 0);
  if (wanted.has("step")) go(Number(wanted.get("step")) || 0, false);
})();
