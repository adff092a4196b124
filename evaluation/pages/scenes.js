"use strict";
// Scenes: one drawing function per kind. Each gets an empty SVG element, the scene and the words of
// the frame, and draws with text nodes alone, so that no name can become markup.
const neuplScenes = (() => {
  const svgNamespace = "http://www.w3.org/2000/svg";
  const add = (parent, tag, attributes, words) => {
    const element = document.createElementNS(svgNamespace, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (words !== undefined) element.textContent = words;
    parent.append(element);
    return element;
  };
  const size = (svg, width, height) => svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const seatColours = ["var(--loss)", "var(--gain)", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

  const card = (svg, x, y, name, hidden) => {
    const red = /[♥♦]/.test(name);
    add(svg, "rect", {
      x, y, width: 56, height: 80, rx: 7,
      fill: name && !hidden ? "#ffffff" : name ? "#5f7f9f" : "none",
      stroke: "currentColor", "stroke-dasharray": name ? "none" : "4 4",
    });
    if (name && !hidden) {
      add(svg, "text", {
        x: x + 28, y: y + 50, "text-anchor": "middle", "font-size": 26, fill: red ? "#b02a2a" : "#1b1b1b",
      }, name);
    }
    if (name && hidden) {
      add(svg, "text", { x: x + 28, y: y + 52, "text-anchor": "middle", "font-size": 30, fill: "#fff" }, "?");
    }
  };
  const cards = (svg, scene) => {
    const seats = scene.seats.length;
    const width = Math.max(360, 130 * seats);
    size(svg, width, 260);
    scene.seats.forEach((seat, k) => {
      const middle = (width * (k + 0.5)) / seats;
      if (scene.to_move === k) {
        add(svg, "rect", {
          x: middle - 52, y: 6, width: 104, height: 146, rx: 10, fill: "none",
          stroke: seatColours[k % seatColours.length], "stroke-width": 3,
        });
      }
      add(svg, "text", {
        x: middle, y: 28, "text-anchor": "middle", "font-size": 15, fill: "currentColor",
      }, `seat ${k}`);
      card(svg, middle - 28, 38, seat.card, seat.hidden);
      add(svg, "text", {
        x: middle, y: 142, "text-anchor": "middle", "font-size": 15, fill: "currentColor",
      }, `${seat.chips} in`);
    });
    const pot = scene.seats.reduce((sum, seat) => sum + seat.chips, 0);
    add(svg, "text", {
      x: width / 2 - 40, y: 216, "text-anchor": "end", "font-size": 17, fill: "currentColor",
    }, `pot ${pot}`);
    (scene.public.length ? scene.public : []).forEach((name, k) => card(svg, width / 2 - 28 + 64 * k, 170, name));
  };

  const tokens = { x: "var(--gain)", o: "var(--loss)", X: "var(--gain)", O: "var(--loss)", b: "var(--loss)", w: "var(--gain)" };
  const rowsOf = (scene, words) => words.replace(/^\n+/, "").split("\n").slice(0, scene.rows);
  const board = (svg, scene, words) => {
    const rows = rowsOf(scene, words);
    const columns = Math.max(...rows.map((row) => row.length));
    size(svg, columns * 40, rows.length * 40);
    rows.forEach((row, r) => [...row].forEach((mark, c) => {
      add(svg, "rect", {
        x: c * 40 + 1, y: r * 40 + 1, width: 38, height: 38, fill: "var(--band)", stroke: "var(--line)",
      });
      if (mark === "." || mark === " ") return;
      if (tokens[mark]) {
        add(svg, "circle", { cx: c * 40 + 20, cy: r * 40 + 20, r: 15, fill: tokens[mark] });
      }
      add(svg, "text", {
        x: c * 40 + 20, y: r * 40 + 26, "text-anchor": "middle", "font-size": 18,
        fill: tokens[mark] ? "var(--back)" : "currentColor",
      }, mark);
    }));
  };

  const resources = { r: "#8a8a8a", p: "#56b4e9", s: "#cc79a7" };
  const players = { "▲": [0, 0], "▶": [0, 90], "▼": [0, 180], "◀": [0, 270], "△": [1, 0], "▷": [1, 90], "▽": [1, 180], "◁": [1, 270] };
  const grid = (svg, scene, words) => {
    const rows = rowsOf(scene, words);
    const columns = Math.max(...rows.map((row) => row.length));
    const bars = scene.bars || [];
    size(svg, columns * 20, (rows.length + 1.4 * bars.length) * 20 + 6);
    add(svg, "rect", { x: 0, y: 0, width: columns * 20, height: rows.length * 20, fill: "var(--band)" });
    rows.forEach((row, r) => [...row].forEach((mark, c) => {
      const [x, y] = [c * 20, r * 20];
      if (mark === "#") add(svg, "rect", { x, y, width: 20, height: 20, fill: "#5a5a5a" });
      else if (mark === "r") add(svg, "circle", { cx: x + 10, cy: y + 10, r: 7, fill: resources.r });
      else if (mark === "p") add(svg, "rect", { x: x + 4, y: y + 2, width: 12, height: 16, fill: resources.p });
      else if (mark === "s") {
        add(svg, "path", { d: `M${x + 3} ${y + 3}l14 14m0 -14l-14 14`, stroke: resources.s, "stroke-width": 4 });
      } else if (players[mark]) {
        const [seat, turn] = players[mark];
        add(svg, "path", {
          d: "M0 -9L8 8L0 4L-8 8Z", fill: seatColours[seat], stroke: "var(--front)",
          transform: `translate(${x + 10} ${y + 10}) rotate(${turn})`,
        });
      }
    }));
    bars.forEach((bar, k) => {
      const y = rows.length * 20 + 8 + k * 28;
      const total = bar.held.reduce((sum, share) => sum + share, 0);
      add(svg, "text", { x: 0, y: y + 15, "font-size": 14, fill: seatColours[bar.seat] }, `seat ${bar.seat}`);
      let x = 60;
      bar.held.forEach((count, i) => {
        const width = ((columns * 20 - 60) * count) / total;
        add(svg, "rect", { x, y, width, height: 20, fill: resources[bar.of[i]] });
        if (width > 22) {
          add(svg, "text", { x: x + 6, y: y + 15, "font-size": 13, fill: "#1b1b1b" }, `${bar.of[i]} ${count}`);
        }
        x += width;
      });
    });
  };

  // Metres become pixels; x to the right, y up. The ball has no seat; the first half of the seats
  // is the home team, which attacks the right goal.
  const pitch = (svg, scene) => {
    const [length, width] = scene.half;
    const [scale, edge] = [120, 30];
    const at = (x, y) => [edge + (x + length) * scale, edge + (width - y) * scale];
    size(svg, 2 * (edge + length * scale), 2 * (edge + width * scale));
    const rect = (x, y, w, h, look) => {
      const [left, top] = at(x, y);
      add(svg, "rect", { x: left, y: top, width: w * scale, height: h * scale, ...look });
    };
    rect(-length, width, 2 * length, 2 * width, { fill: "#38733d", stroke: "#ebebeb", "stroke-width": 4 });
    rect(-0.01, width, 0.02, 2 * width, { fill: "#ebebeb" });
    [-length - 0.15, length].forEach((x, team) => {
      rect(x, scene.goal, 0.15, 2 * scene.goal, { fill: seatColours[team] });
    });
    const seats = scene.discs.filter((disc) => disc[3] >= 0).length;
    scene.discs.forEach(([x, y, radius, seat]) => {
      const [cx, cy] = at(x, y);
      const team = seat < seats / 2 ? 0 : 1;
      const fill = seat < 0 ? "#fafafa" : seatColours[team];
      add(svg, "circle", { cx, cy, r: radius * scale, fill, stroke: "#1b1b1b" });
      if (seat < 0) return;
      add(svg, "text", {
        x: cx, y: cy + 6, "text-anchor": "middle", "font-size": 16, fill: "#fafafa",
      }, `${seat}`);
    });
  };
  return { draw: { cards, board, grid, pitch }, add, seatColours };
})();
