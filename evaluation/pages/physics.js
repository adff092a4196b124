"use strict";
// The view of MuJoCo's games: bodies follow from coordinates as in MuJoCo's kinematics, and shapes
// are drawn in perspective with plain SVG, the farthest first.
const neuplPhysics = (() => {
  const add3 = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
  const sub3 = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const scale = (a, by) => [a[0] * by, a[1] * by, a[2] * by];
  const times = ([a, b, c, d], [e, f, g, h]) => [
    a * e - b * f - c * g - d * h,
    a * f + b * e + c * h - d * g,
    a * g - b * h + c * e + d * f,
    a * h + b * g - c * f + d * e,
  ];
  const unit = (q) => {
    const length = Math.hypot(...q) || 1;
    return q.map((part) => part / length);
  };
  const turned = (v, [w, x, y, z]) => {
    const t = [2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])];
    return [
      v[0] + w * t[0] + y * t[2] - z * t[1],
      v[1] + w * t[1] + z * t[0] - x * t[2],
      v[2] + w * t[2] + x * t[1] - y * t[0],
    ];
  };
  const about = (axis, angle) => {
    const s = Math.sin(angle / 2);
    return [Math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s];
  };

  // Place and turn of every body; parents come before their children.
  const bodiesOf = (model, coordinates) => {
    const places = [];
    model.bodies.forEach((body, number) => {
      let place = { pos: [0, 0, 0], quat: [1, 0, 0, 0] };
      if (number > 0) {
        const parent = places[body.parent];
        place = {
          pos: add3(parent.pos, turned(body.pos, parent.quat)),
          quat: times(parent.quat, body.quat),
        };
      }
      for (const joint of body.joints) {
        const own = coordinates.subarray(joint.at, joint.at + 7);
        if (joint.kind === "free") {
          place = { pos: [own[0], own[1], own[2]], quat: unit([own[3], own[4], own[5], own[6]]) };
        } else if (joint.kind === "slide") {
          const way = scale(turned(joint.axis, place.quat), own[0] - joint.zero);
          place = { pos: add3(place.pos, way), quat: place.quat };
        } else {
          const anchor = add3(place.pos, turned(joint.pos, place.quat));
          const turn =
            joint.kind === "ball"
              ? unit([own[0], own[1], own[2], own[3]])
              : about(joint.axis, own[0] - joint.zero);
          const quat = times(place.quat, turn);
          place = { pos: sub3(anchor, turned(joint.pos, quat)), quat };
        }
      }
      places.push(place);
    });
    return places;
  };

  // The camera looks at what moves freely; the reader turns it.
  const [width, height, near] = [640, 400, 0.05];
  const camera = { yaw: -Math.PI / 2, pitch: 0.5, distance: 3.2 };
  const focal = 1.3 * height;
  const viewOf = (target) => {
    const { yaw, pitch, distance } = camera;
    const back = [Math.cos(yaw) * Math.cos(pitch), Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch)];
    const right = [-Math.sin(yaw), Math.cos(yaw), 0];
    const up = [
      -Math.cos(yaw) * Math.sin(pitch),
      -Math.sin(yaw) * Math.sin(pitch),
      Math.cos(pitch),
    ];
    const eye = add3(target, scale(back, distance));
    // To the right, up, and away from the eye.
    return (point) => {
      const way = sub3(point, eye);
      return [dot(way, right), dot(way, up), -dot(way, back)];
    };
  };
  const flat = ([x, y, z]) => [width / 2 + (focal * x) / z, height / 2 - (focal * y) / z];
  // A polygon in front of the eye: what is behind is cut off.
  const clipped = (points) => {
    const kept = [];
    points.forEach((point, k) => {
      const before = points[(k + points.length - 1) % points.length];
      if (point[2] >= near !== before[2] >= near) {
        const share = (near - before[2]) / (point[2] - before[2]);
        kept.push(add3(before, scale(sub3(point, before), share)));
      }
      if (point[2] >= near) kept.push(point);
    });
    return kept;
  };
  const colourOf = (colour, light) => `rgb(${colour.map((c) => Math.round(c * light)).join(" ")})`;

  const faces = [
    [0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3],
  ];
  const sun = [0.3, -0.4, 0.87];
  // What is to be drawn of a shape: how far it is, and how.
  const drawn = (svg, shape, place, view) => {
    const centre = add3(place.pos, turned(shape.pos, place.quat));
    const quat = times(place.quat, shape.quat);
    const at = (local) => view(add3(centre, turned(local, quat)));
    const middle = view(centre);
    const [a, b, c] = shape.size;
    const polygon = (points, light) => {
      const seen = clipped(points);
      if (seen.length < 3) return;
      neuplScenes.add(svg, "polygon", {
        points: seen.map((point) => flat(point).map((x) => x.toFixed(1)).join(",")).join(" "),
        fill: colourOf(shape.colour, light),
      });
    };
    if (shape.kind === "plane") {
      const [x, y] = [a || 20, b || 20];
      const corners = [[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]].map(at);
      return { layer: 0, depth: 0, draw: () => polygon(corners, 1) };
    }
    if (shape.kind === "box") {
      const corners = [];
      for (const x of [-a, a]) for (const y of [-b, b]) for (const z of [-c, c]) corners.push([x, y, z]);
      const draw = () => {
        faces.forEach((face, k) => {
          const axis = Math.floor(k / 2);
          const normal = [0, 0, 0];
          normal[axis] = k % 2 ? 1 : -1;
          const points = face.map((number) => at(corners[number]));
          const outward = sub3(at(scale(normal, 2 * shape.size[axis])), middle);
          if (dot(outward, points[0]) < 0) polygon(points, 0.75 + 0.25 * dot(turned(normal, quat), sun));
        });
      };
      // Marks on the floor lie on it.
      return { layer: c < 0.005 ? 1 : 2, depth: middle[2], draw };
    }
    if (middle[2] < near) return null;
    const radius = shape.kind === "ellipsoid" ? (a + b + c) / 3 : a;
    if (shape.kind === "capsule" || shape.kind === "cylinder") {
      const [from, to] = [at([0, 0, -b]), at([0, 0, b])];
      if (from[2] < near || to[2] < near) return null;
      const [p, q] = [flat(from), flat(to)];
      const draw = () => {
        const line = {
          x1: p[0].toFixed(1), y1: p[1].toFixed(1), x2: q[0].toFixed(1), y2: q[1].toFixed(1),
          "stroke-linecap": shape.kind === "capsule" ? "round" : "butt",
        };
        const thick = (2 * radius * focal) / middle[2];
        const shade = { ...line, stroke: colourOf(shape.colour, 0.6), "stroke-width": thick };
        neuplScenes.add(svg, "line", shade);
        const lit = { ...line, stroke: colourOf(shape.colour, 0.95), "stroke-width": 0.72 * thick };
        neuplScenes.add(svg, "line", lit);
      };
      return { layer: 2, depth: middle[2], draw };
    }
    const draw = () => {
      const [cx, cy] = flat(middle);
      const r = (radius * focal) / middle[2];
      const place = { cx: cx.toFixed(1), cy: cy.toFixed(1) };
      neuplScenes.add(svg, "circle", { ...place, r: r.toFixed(1), fill: colourOf(shape.colour, 0.6) });
      const lit = { ...place, r: (0.82 * r).toFixed(1), fill: colourOf(shape.colour, 0.97) };
      neuplScenes.add(svg, "circle", lit);
    };
    return { layer: 2, depth: middle[2], draw };
  };

  const numbersOf = (episode) => {
    if (!episode.numbers) {
      const bytes = Uint8Array.from(atob(episode.physics.coordinates), (sign) => sign.charCodeAt(0));
      episode.numbers = new Float32Array(bytes.buffer);
    }
    const each = episode.numbers.length / episode.frames.length;
    return (moment) => episode.numbers.subarray(moment * each, (moment + 1) * each);
  };
  let shown = null;
  const draw = (svg, scene, words, episode, moment) => {
    shown = () => draw(svg, scene, words, episode, moment);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const { model } = episode.physics;
    const places = bodiesOf(model, numbersOf(episode)(moment));
    const free = places.filter((_, k) => model.bodies[k].joints.some((joint) => joint.kind === "free"));
    const target = free.reduce((sum, place) => add3(sum, scale(place.pos, 1 / free.length)), [0, 0, 0]);
    const view = viewOf([target[0], target[1], 0.25]);
    model.shapes
      .map((shape) => drawn(svg, shape, places[shape.body], view))
      .filter((part) => part)
      .sort((one, other) => one.layer - other.layer || other.depth - one.depth)
      .forEach((part) => part.draw());
    neuplScenes.add(svg, "text", { x: 8, y: 20, "font-size": 14, fill: "currentColor" },
      `${(moment / model.rate).toFixed(2)} s`);
  };
  // Turns the camera by radians, and moves it by a factor.
  const turn = (yaw, pitch, by = 1) => {
    camera.yaw += yaw;
    camera.pitch = Math.min(Math.max(camera.pitch + pitch, 0.03), 1.5);
    camera.distance = Math.min(Math.max(camera.distance * by, 0.5), 30);
    if (shown) shown();
  };
  const listen = (svg) => {
    let dragged = null;
    svg.addEventListener("pointerdown", (event) => {
      if (!svg.classList.contains("space")) return;
      dragged = [event.clientX, event.clientY];
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (!dragged) return;
      turn((dragged[0] - event.clientX) / 150, (event.clientY - dragged[1]) / 150);
      dragged = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (dragged = null));
    svg.addEventListener(
      "wheel",
      (event) => {
        if (!svg.classList.contains("space")) return;
        event.preventDefault();
        turn(0, 0, Math.exp(event.deltaY / 600));
      },
      { passive: false },
    );
  };
  return { draw, turn, listen, bodiesOf };
})();
neuplScenes.draw.physics = neuplPhysics.draw;
