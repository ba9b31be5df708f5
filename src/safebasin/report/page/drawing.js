// What every chart shares: the colours of the theme, the frame, and how plotly is loaded.

const THEMES = {
  light: { ink: "#1d2227", quiet: "#59626b", paper: "#ffffff", grid: "#e4e7ea", mark: "#1d2227" },
  dark: { ink: "#e7eaed", quiet: "#a7b0b8", paper: "#14181c", grid: "#303941", mark: "#ffffff" },
};
const BASIN = "#009E73";
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
/** The same dashes as an SVG writes them, for legends. */
const LEGEND_DASHES = ["none", "7 3", "2 3", "7 2 2 2", "10 3", "10 2 2 2"];
const SIGNS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross"];
const CONFIG = { displayModeBar: false, displaylogo: false, responsive: true, showTips: false, doubleClick: "reset" };

const theme = () => document.documentElement.dataset.theme;
const colours = () => THEMES[theme()];
const asrColour = () => data.asr[theme()];

/** Plotly reads a few tags and entities in its own labels; a foreign name must not hold any. */
const plotlyText = (text) =>
  [...text].slice(0, 60).join("").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "＄");

/** Run plotly, whose maps would add a style that the policy forbids: they find it there already. */
async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpack("plotly");
  for (const [, id] of script.textContent.matchAll(/getElementById\("([0-9a-f]{64})"\)/g)) {
    if (!byId(id)) document.head.append(element("meta", { id }));
  }
  document.head.append(script);
  if (!window.Plotly) throw new Error("plotly did not start");
}

function axis(extra) {
  const { ink, grid, quiet } = colours();
  return {
    gridcolor: grid, zerolinecolor: grid, linecolor: quiet, tickcolor: quiet, fixedrange: true,
    tickfont: { color: ink, size: 12 }, ...extra,
    title: { text: extra.title || "", font: { color: ink, size: 13 }, standoff: 8 },
  };
}

function frame(extra) {
  const { ink, paper } = colours();
  return {
    paper_bgcolor: paper, plot_bgcolor: paper, showlegend: false, hovermode: "closest",
    hoverdistance: 60, dragmode: false, font: { family: "system-ui, DejaVu Sans, sans-serif", color: ink },
    margin: { l: 58, r: 14, t: 12, b: 48 }, ...extra,
  };
}

/** A legend of our own: plotly's would read tags in names. Each entry is a shape and a text. */
function legend(id, entries) {
  byId(id).replaceChildren(...entries.map(([shape, text]) => element("li", {}, swatch(shape), text)));
}

function swatch({ fill, line, dash, pattern, dots, ring, stops }) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const add = (name, attributes) => {
    const made = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    svg.append(made);
  };
  for (const [key, value] of [["width", stops ? 150 : 24], ["height", 14], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  (stops || []).forEach((colour, i, all) => {
    const step = 150 / (all.length - 1);
    // Between two colours, strips of their mixture.
    for (let part = 0; part < 10 && i < all.length - 1; part += 1) {
      add("rect", { x: (i + part / 10) * step, y: 0, width: step / 10 + 0.3, height: 14, fill: `color-mix(in srgb, ${all[i + 1]} ${10 * part}%, ${colour})` });
    }
  });
  if (fill) add("rect", { x: 1, y: 1, width: 22, height: 12, fill, stroke: "#7d868e", "stroke-width": 0.7 });
  if (pattern) for (const x of [2, 8, 14]) add("line", { x1: x, y1: 2, x2: x + 8, y2: 12, stroke: pattern, "stroke-width": 1.3 });
  if (dots) for (const [x, y] of [[5, 4], [12, 4], [19, 4], [8.5, 9.5], [15.5, 9.5]]) add("circle", { cx: x, cy: y, r: 1, fill: dots });
  if (line) add("line", { x1: 0, y1: 7, x2: 24, y2: 7, stroke: line, "stroke-width": 2.4, "stroke-dasharray": dash || "none" });
  if (ring) add("circle", { cx: 12, cy: 7, r: 4.6, fill: "#ffffff", stroke: ring, "stroke-width": 2 });
  return svg;
}

const known = (values) => values.map((value, i) => (value === null ? -1 : i)).filter((i) => i >= 0);
const hundred = (values) => values.map((value) => (value === null ? null : 100 * value));

/** The band between two curves as one outline, left out where a bound is not known. */
function band(x, low, high, colour, more = {}) {
  const at = known(low).filter((i) => high[i] !== null);
  const back = [...at].reverse();
  return {
    type: "scatter", mode: "lines", hoverinfo: "skip", fill: "toself", line: { width: 0 },
    x: [...at, ...back].map((i) => x[i]), fillcolor: `${colour}33`,
    y: [...at.map((i) => 100 * low[i]), ...back.map((i) => 100 * high[i])], ...more,
  };
}
