// Lines: ASR over the displacement with its band, the three shares beneath, and several runs on one axis.

const DISPLACEMENT = "displacement α along the direction";

function drawCurve() {
  const [x] = run().axes;
  const one = judge();
  const { mark, quiet } = colours();
  const single = run().directions.length === 1;
  const traces = [band(x, one.mean.low, one.mean.high, asrColour())];
  one.each.forEach((values, i) => {
    if (single) return;
    const chosen = i === state.direction;
    traces.push({
      type: "scatter", mode: chosen ? "lines+markers" : "lines", x, y: hundred(values), meta: { direction: i },
      hoverinfo: "none", opacity: chosen ? 0.95 : 0.5, marker: { size: 5 },
      line: { color: asrColour(), width: chosen ? 1.6 : 1, dash: "dot" },
    });
  });
  traces.push({
    type: "scatter", mode: "lines+markers", x, y: hundred(one.mean.value), hoverinfo: "none",
    line: { color: asrColour(), width: 3 }, marker: { size: 7 }, meta: {},
  });
  const place = placeOf(state.point);
  const cell = cellOf(state.point);
  if (place && cell && cell.asr !== null) {
    traces.push({
      type: "scatter", mode: "markers", x: [x[place[0]]], y: [100 * cell.asr], hoverinfo: "skip",
      marker: { size: 15, color: "rgba(0,0,0,0)", line: { color: mark, width: 3 } },
    });
  }
  traces.push(...capabilityLines(x));
  traces.push(...shareAreas(x));
  const shapes = basinShapes(one, x, quiet);
  for (const { x: at } of endsOfChange()) shapes.push({ type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0.36, y1: 1, line: { color: quiet, width: 1 } });
  if (place) shapes.push({ type: "line", xref: "x", yref: "paper", x0: x[place[0]], x1: x[place[0]], y0: 0, y1: 1, line: { color: mark, width: 1.5, dash: "dot" } });
  const pad = 0.02 * (x[x.length - 1] - x[0]) || 0.1;
  Plotly.react("map", traces, frame({
    shapes, annotations: endsOfChange(), margin: { l: 58, r: 14, t: changed() ? 30 : 12, b: 48 },
    xaxis: axis({ title: changed() ? "share of the change, from base (0) to tuned (1)" : DISPLACEMENT, range: [x[0] - pad, x[x.length - 1] + pad], anchor: "y2" }),
    yaxis: axis({ title: run().capabilities.length ? "ASR and capability (%)" : "attack success rate (%)", range: [-3, 104], domain: [0.36, 1] }),
    yaxis2: axis({ title: "answers (%)", range: [0, 100], domain: [0, 0.27], nticks: 3 }),
  }), CONFIG);
  curveLegend(single);
}

/** Where the two models of a comparison lie on the path. */
function endsOfChange() {
  if (!changed()) return [];
  const { ink } = colours();
  return [["base", 0], ["tuned", 1]].map(([text, x]) => ({ text, x, y: 1, xref: "x", yref: "paper", yanchor: "bottom", showarrow: false, font: { color: ink, size: 12 } }));
}

/** What else was measured at the points, in the panel of the ASR. */
function capabilityLines(x) {
  return run().capabilities.flatMap((one, i) => {
    const colour = capabilityColour(i);
    return [
      band(x, one.low, one.high, colour, { fillcolor: `${colour}1f` }),
      {
        type: "scatter", mode: "lines+markers", x, y: hundred(one.value), hoverinfo: "none", meta: {},
        line: { color: colour, width: 2.4, dash: DASHES[(i + 1) % DASHES.length] }, marker: { size: 7, symbol: SIGNS[(i + 1) % SIGNS.length] },
      },
    ];
  });
}

const capabilityColour = (i) => data.capability[theme()][i % 4];

const capabilityEntries = () =>
  run().capabilities.map((one, i) => [{ line: capabilityColour(i), dash: LEGEND_DASHES[(i + 1) % LEGEND_DASHES.length] }, one.what === "accuracy" ? one.name : `${one.name} (${one.what})`]);

function shareAreas(x) {
  const shares = run().judges[outcomeJudge()].shares;
  const at = known(shares.refused.value);
  const patterns = { refused: "", complied: "\\", incoherent: "." };
  return OUTCOMES.map((name) => ({
    type: "scatter", mode: "lines", x: at.map((i) => x[i]), y: at.map((i) => 100 * shares[name].value[i]),
    yaxis: "y2", stackgroup: "shares", hoverinfo: "none", fillcolor: data.colours[name], meta: {},
    line: { width: 0.8, color: colours().paper },
    fillpattern: patterns[name] ? { shape: patterns[name], fgcolor: name === "complied" ? "#8a5f00" : "#7d868e", bgcolor: data.colours[name], size: 8, solidity: 0.16 } : undefined,
  }));
}

function basinShapes(one, x, quiet) {
  const height = 100 * one.tolerance;
  const [below, above] = one.basin;
  const shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: height, y1: height, line: { color: quiet, width: 1.2, dash: "dash" } }];
  if (below.value !== null || above.value !== null) {
    shapes.push({ type: "rect", yref: "y", x0: -(below.value || 0), x1: above.value || 0, y0: -3, y1: 104, fillcolor: BASIN, opacity: 0.13, line: { width: 0 }, layer: "below" });
  }
  for (const [sign, side] of [[-1, below], [1, above]]) {
    if (!side.value) continue;
    const low = side.low === null ? side.value : side.low;
    const high = side.high === null ? side.reach : side.high;
    shapes.push({ type: "line", x0: sign * low, x1: sign * high, y0: height, y1: height, line: { color: BASIN, width: 5 } });
    shapes.push({ type: "line", x0: sign * side.value, x1: sign * side.value, y0: height - 5, y1: height + 5, line: { color: BASIN, width: 3 } });
    if (side.each.length < 2) continue;
    for (const edge of side.each) {
      shapes.push({ type: "line", x0: sign * edge, x1: sign * edge, y0: height - 3, y1: height + 3, line: { color: quiet, width: 1.5 } });
    }
  }
  return shapes;
}

function curveLegend(single) {
  const level = 100 * judge().level;
  const by = run().judges[outcomeJudge()].name;
  legend("legend", [
    [{ line: asrColour() }, single ? "ASR" : `mean ASR of ${run().directions.length} directions`],
    ...(single ? [] : [[{ line: asrColour(), dash: "2 3" }, "each direction"]]),
    [{ fill: `${asrColour()}33` }, `${level} % interval`],
    [{ fill: `${BASIN}33`, line: BASIN }, single ? `safety basin, its edges with ${level} % intervals` : `safety basin to the mean of the directions' edges (thin marks), with ${level} % intervals`],
    [{ line: colours().quiet, dash: "5 3" }, `tolerance ${100 * judge().tolerance} %`],
    ...capabilityEntries(),
    ...outcomeEntries(` (judge ${by})`),
  ]);
}

const outcomeEntries = (tail) =>
  OUTCOMES.map((name, i) => [{ fill: data.colours[name], pattern: name === "complied" ? "#8a5f00" : "", dots: name === "incoherent" ? "#7d868e" : "" }, i === OUTCOMES.length - 1 ? `${name}${tail}` : name]);

function drawComparison() {
  const traces = [];
  const entries = [];
  data.runs.forEach((one, i) => {
    if (one.axes.length !== 1) return;
    const shades = data.compared[theme()];
    const colour = shades[i % shades.length];
    const faint = data.runs.length > 2 ? "14" : "26";
    const [x] = one.axes;
    const { mean } = one.judges[0];
    traces.push(band(x, mean.low, mean.high, colour, { fillcolor: `${colour}${faint}` }));
    traces.push({
      type: "scatter", mode: "lines+markers", x, y: hundred(mean.value), hoverinfo: "none", meta: { run: i },
      line: { color: colour, width: 2.6, dash: DASHES[i % DASHES.length] }, marker: { size: 8, symbol: SIGNS[i % SIGNS.length] },
    });
    entries.push([{ line: colour, dash: LEGEND_DASHES[i % LEGEND_DASHES.length] }, `${one.model} (${one.folder}), judge ${one.judges[0].name}`]);
  });
  byId("compare").hidden = traces.length === 0;
  if (!traces.length) return;
  const tolerance = 100 * data.runs.find((one) => one.axes.length === 1).judges[0].tolerance;
  Plotly.react("compare", traces, frame({
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: tolerance, y1: tolerance, line: { color: colours().quiet, width: 1.2, dash: "dash" } }],
    xaxis: axis({ title: DISPLACEMENT }),
    yaxis: axis({ title: "attack success rate (%)", range: [-3, 104] }),
  }), CONFIG);
  legend("compare-legend", [...entries, [{ line: colours().quiet, dash: "5 3" }, `tolerance ${tolerance} %`]]);
}
