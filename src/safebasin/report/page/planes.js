// Planes: a contour that can be clicked and a surface that can be turned.

const eye = { turn: -0.99, tilt: 0.86, far: 2.1 };

/** The chosen quantity over the grid in per cent, one row a value of the second axis. */
function gridValues() {
  const [x, y] = run().axes;
  const which = OUTCOMES.indexOf(state.quantity);
  return y.map((_, j) => x.map((__, i) => {
    const cell = cellOf(pointAt(i, j), which < 0 ? state.judge : outcomeJudge());
    if (!cell) return null;
    if (cell.assumed) return which < 0 ? 100 : null;
    const share = which < 0 ? cell.asr : cell.shares[which][0];
    return share === null ? null : 100 * share;
  }));
}

const stopsOf = () => (state.quantity === "asr" ? data.rate : ["#ffffff", data.inks[state.quantity]]);
const scaleOf = () => stopsOf().map((colour, i, all) => [i / (all.length - 1), colour]);
const quantityName = () => (state.quantity === "asr" ? "attack success rate" : `share ${state.quantity}`);

function drawPlane() {
  byId("turning").hidden = state.view !== "surface";
  const names = run().directions[state.direction].map(plotlyText);
  if (state.view === "surface") drawSurface(names);
  else drawContour(names);
  const tolerance = 100 * judge().tolerance;
  legend("legend", [
    [{ stops: stopsOf() }, `${quantityName()}, 0 to 100 %${state.quantity === "asr" ? "" : ` (judge ${run().judges[outcomeJudge()].name})`}`],
    [{ ring: state.view === "surface" ? colours().quiet : "#1d2227" }, "origin"],
    [{ ring: data.asr.light }, "chosen point"],
    ...wayLegend(),
    ...(state.quantity === "asr" && state.view === "contour" ? [[{ fill: "#8a9299", line: "#ffffff" }, `ASR ${tolerance} %, the edge of the basin drawn between points`]] : []),
  ]);
}

function padded(values) {
  const [first, last] = [values[0], values[values.length - 1]];
  const pad = 0.025 * (last - first) || 0.1;
  return [first - pad, last + pad];
}

function drawContour(names) {
  const [x, y] = run().axes;
  const z = gridValues();
  const shared = { type: "contour", x, y, z, hoverinfo: "none", connectgaps: false };
  const traces = [{
    ...shared, colorscale: scaleOf(), zmin: 0, zmax: 100, showscale: false,
    contours: { start: 0, end: 100, size: 10, coloring: "fill" }, line: { width: 0.4, color: "rgba(255,255,255,.35)", smoothing: 0 },
  }];
  if (state.quantity === "asr") {
    const edge = 100 * judge().tolerance;
    traces.push({ ...shared, showscale: false, colorscale: [[0, "#ffffff"], [1, "#ffffff"]], contours: { start: edge, end: edge, size: 1, coloring: "lines" }, line: { width: 3, smoothing: 0 } });
  }
  const pairs = y.flatMap((b, j) => x.map((a, i) => [a, b, pointAt(i, j)]));
  const dots = (chosen, marker) => ({
    type: "scatter", mode: "markers", hoverinfo: "none", marker,
    x: chosen.map((pair) => pair[0]), y: chosen.map((pair) => pair[1]),
  });
  traces.push(dots(pairs, { size: x.length > 15 ? 3 : 5, color: "rgba(255,255,255,.75)", line: { color: "rgba(0,0,0,.55)", width: 0.8 } }));
  traces.push(dots(pairs.filter((pair) => pair[2] === run().origin), { size: 12, color: "#ffffff", line: { color: "#1d2227", width: 2.4 } }));
  traces.push(dots(pairs.filter((pair) => pair[2] === state.point), { size: 19, color: "rgba(0,0,0,0)", line: { color: data.asr.light, width: 4 } }));
  traces.push(...wayOnContour());
  Plotly.react("map", traces, frame({
    margin: { l: 62, r: 14, t: 12, b: 50 },
    xaxis: axis({ title: `α along ${names[0]}`, range: padded(x), constrain: "domain", showgrid: false, zeroline: false }),
    yaxis: axis({ title: `β along ${names[1]}`, range: padded(y), scaleanchor: "x", constrain: "domain", showgrid: false, zeroline: false }),
  }), CONFIG);
}

function drawSurface(names) {
  const [x, y] = run().axes;
  const z = gridValues();
  const { ink, grid, quiet } = colours();
  // A pole with a head above the surface: what lies at the bottom of a basin would be hidden.
  const pole = (place, colour, top) => place === null ? [] : [{
    type: "scatter3d", mode: "lines+markers", hoverinfo: "none", line: { color: colour, width: 5 },
    x: [x[place[0]], x[place[0]]], y: [y[place[1]], y[place[1]]], z: [z[place[1]][place[0]] ?? 0, top],
    marker: { size: [3, 8], color: colour, line: { color: "#1d2227", width: 1 } },
  }];
  const side = (title) => ({
    title: { text: title, font: { color: ink, size: 12 } }, tickfont: { color: ink, size: 11 }, gridcolor: grid,
    showspikes: false, backgroundcolor: "rgba(0,0,0,0)", zerolinecolor: grid,
  });
  Plotly.react("map", [
    { type: "surface", x, y, z, colorscale: scaleOf(), cmin: 0, cmax: 100, hoverinfo: "none", showscale: false, lighting: { ambient: 0.85, diffuse: 0.35, specular: 0.02, roughness: 0.9 }, contours: { z: { highlight: false }, x: { highlight: false }, y: { highlight: false } } },
    ...(state.point === run().origin ? [] : pole(placeOf(run().origin), quiet, 104)),
    ...pole(placeOf(state.point), data.asr.light, 112),
    ...wayOnSurface(),
  ], frame({
    margin: { l: 0, r: 0, t: 0, b: 0 },
    scene: {
      xaxis: side("α"), yaxis: side("β"), zaxis: { ...side("%"), range: [0, 116], tickvals: [0, 50, 100] },
      aspectmode: "manual", aspectratio: { x: 1.2, y: 1.2, z: 0.75 }, camera: camera(), dragmode: "orbit",
      hovermode: "closest",
    },
  }), CONFIG);
  byId("map").setAttribute("aria-label", `Surface of ${quantityName()} over α along ${names[0]} and β along ${names[1]}`);
}

function camera() {
  const far = eye.far * (byId("map").clientWidth < 520 ? 1.55 : 1);
  const flat = Math.cos(eye.tilt) * far;
  return { eye: { x: flat * Math.cos(eye.turn), y: flat * Math.sin(eye.turn), z: Math.sin(eye.tilt) * far }, center: { x: 0, y: 0, z: -0.2 } };
}

/** Turn the surface by a step, for those who cannot drag it. */
function turn(way) {
  eye.turn += { left: 0.26, right: -0.26 }[way] || 0;
  eye.tilt = Math.min(1.5, Math.max(0.05, eye.tilt + ({ up: 0.17, down: -0.17 }[way] || 0)));
  Plotly.relayout("map", { "scene.camera": camera() });
}
