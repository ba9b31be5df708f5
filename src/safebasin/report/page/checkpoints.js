// A training run over its plane: the way of the checkpoints, each in the colour of its own ASR.

const UNKNOWN = "#B0B0B0";
const LIFT = 1.5;
const HEADS = 110;

/** The training run that belongs to the chosen run, or null. */
const way = () => (state.run === 0 ? data.way : null);

/** Colours say ASR by one judge: beside another quantity or judge the checkpoints have none. */
const wayIsColoured = () => state.quantity === "asr" && judge().name === way().judge;

function markColour({ real: [asr] }) {
  if (asr === null || !wayIsColoured()) return UNKNOWN;
  return data.rate[Math.round(asr * (data.rate.length - 1))];
}

const markInk = (mark) => (markColour(mark) === UNKNOWN || mark.real[0] > 0.5 ? "#1d2227" : "#ffffff");
const numbers = () => way().marks.map((_, i) => String(i + 1));
const placesOf = (axis) => [0, ...way().marks.map((mark) => mark.place[axis])];

/** The way on the map: a line from the base, and a numbered dot for each checkpoint. */
function wayOnContour() {
  if (!way()) return [];
  const { marks } = way();
  const line = (color, width) => ({ type: "scatter", mode: "lines", x: placesOf(0), y: placesOf(1), hoverinfo: "skip", line: { color, width } });
  return [line("#ffffff", 5), line("#1d2227", 2), {
    type: "scatter", mode: "markers+text", x: placesOf(0).slice(1), y: placesOf(1).slice(1), text: numbers(), hoverinfo: "none",
    cliponaxis: false, meta: { marks: true }, textfont: { color: marks.map(markInk), size: 12, weight: 700 },
    marker: {
      size: marks.map((_, i) => (i + 1 === state.mark ? 27 : 21)), color: marks.map(markColour), opacity: 1,
      line: { color: marks.map((_, i) => (i + 1 === state.mark ? data.asr.light : "#ffffff")), width: marks.map((_, i) => (i + 1 === state.mark ? 4 : 2.4)) },
    },
  }];
}

/** The way on the surface: dots at the checkpoints' own ASR, and poles with heads, since a wall may hide the dots. */
function wayOnSurface() {
  if (!way() || state.quantity !== "asr") return [];
  const { marks } = way();
  const { ink } = colours();
  const start = cellOf(run().origin);
  const foot = [start ? start.asr : 0, ...marks.map((mark) => mark.drawn[0])].map((asr) => 100 * (asr ?? 0) + LIFT);
  const heights = marks.map((mark) => 100 * (mark.real[0] ?? 0) + LIFT);
  const [x, y] = [placesOf(0), placesOf(1)];
  const poles = marks.flatMap((_, i) => [i + 1, i + 1, null]);
  return [
    { type: "scatter3d", mode: "lines", x, y, z: foot, hoverinfo: "skip", line: { color: "#ffffff", width: 7 } },
    { type: "scatter3d", mode: "lines", x, y, z: foot.map((z) => z + 0.3), hoverinfo: "skip", line: { color: "#1d2227", width: 3 } },
    {
      type: "scatter3d", mode: "lines", hoverinfo: "skip", line: { color: ink, width: 2 },
      x: poles.map((i) => (i === null ? null : x[i])), y: poles.map((i) => (i === null ? null : y[i])),
      z: poles.map((i, k) => (i === null ? null : [Math.min(heights[i - 1], foot[i]), HEADS][k % 3])),
    },
    {
      type: "scatter3d", mode: "markers", x: x.slice(1), y: y.slice(1), z: heights, hoverinfo: "none", meta: { marks: true },
      marker: { size: 6, color: marks.map(markColour), line: { color: ink, width: 2 } },
    },
    {
      type: "scatter3d", mode: "markers+text", x: x.slice(1), y: y.slice(1), z: marks.map(() => HEADS), hoverinfo: "none", meta: { marks: true },
      marker: { size: 17, opacity: 1, color: marks.map(markColour), line: { color: marks.map((_, i) => (i + 1 === state.mark ? data.asr.light : "#ffffff")), width: 3 } },
      text: numbers(), textposition: "middle center", textfont: { color: marks.map(markInk), size: 13, weight: 700 },
    },
  ];
}

function wayLegend() {
  if (!way() || (state.view === "surface" && state.quantity !== "asr")) return [];
  const by = wayIsColoured() ? `colour: its own ASR, judge ${way().judge}` : `grey: its own ASR is by the judge ${way().judge}`;
  return [[{ line: colours().ink, ring: "#1d2227" }, `the checkpoints in order, ${by}`]];
}

/** A sentence on a checkpoint: its own ASR beside the plane's, and what the plane leaves out. */
function markSentence(number) {
  const { base, marks } = way();
  if (number === 0) return `The base, ${base}, is the origin of the plane.`;
  const { name, place, real, drawn, residual } = marks[number - 1];
  const rate = ([value, low, high]) => `${percent(value)}${between(low, high)}`;
  const answers = state.point === ownPoint(number) ? "The answers beneath are its own." : "The point above, and the answers, are of the map.";
  return `Checkpoint ${number} of ${marks.length}, ${name}: ASR ${rate(real)} where it really is, ${rate(drawn)} where it is drawn (${place.map(signed).join(", ")}); ${(100 * residual).toFixed(0)} % of its way is not in the plane. ${answers}`;
}

/** The number of the checkpoint's own answers; undefined where the page has none. */
const ownPoint = (number) => (number ? run().beside[number - 1] : run().origin);

/** The point of the map that is nearest to a checkpoint; 0 is the base. */
function nearestTo(number) {
  const place = number ? way().marks[number - 1].place : [0, 0];
  return run().axes.map((values, i) => nearest(values, place[i]));
}

/** The first checkpoint that is outside the basin and whose own answers are here; 0 where none is. */
function firstMarkOutside() {
  if (!way()) return 0;
  const outside = ({ real: [asr] }, i) => asr !== null && asr > judge().tolerance && ownPoint(i + 1) !== undefined;
  return way().marks.findIndex(outside) + 1;
}

/** Another checkpoint: the field and the sentence follow, and its own answers open. */
function takeMark(number) {
  state.mark = number;
  state.direction = 0;
  byId("direction").value = 0;
  takePoint(ownPoint(number) ?? pointAt(...nearestTo(number)));
}

function renderMark() {
  if (!byId("way")) return;
  byId("way").hidden = !way();
  byId("there").hidden = !way();
  if (!way()) return;
  const field = byId("checkpoint");
  field.max = way().marks.length;
  field.value = state.mark;
  byId("checkpoint-value").textContent = state.mark ? `${state.mark}: ${way().marks[state.mark - 1].name}` : "base";
  byId("there").textContent = markSentence(state.mark);
  field.setAttribute("aria-valuetext", state.mark ? `checkpoint ${state.mark}, ${way().marks[state.mark - 1].name}` : "base");
}
