// Wires the fields to what they change, and starts the page.

let plotlyIsThere = false;

function fill(select, texts, value) {
  select.replaceChildren(...texts.map((text, i) => element("option", { value: i }, text)));
  select.value = value;
}

/** Another run: its judges, directions and grid. */
function takeRun(number) {
  Object.assign(state, { run: number, judge: 0, direction: 0, mark: 0 });
  // A training run climbs along its first axis: seen from the base, the basin is not behind the wall.
  Object.assign(eye, way() ? { turn: -2.2, far: 2.35 } : { turn: -0.99, far: 2.1 });
  state.mark = firstMarkOutside();
  const [point, why] = opening();
  state.point = point;
  byId("opened").textContent = `Opens at ${why}.`;
  fill(byId("run"), data.runs.map((one) => `${one.model} (${one.folder})`), number);
  fill(byId("judge"), run().judges.map((one) => one.name), 0);
  fill(byId("direction"), run().directions.map((names) => names.join(" and ")), 0);
  byId("direction-field").hidden = run().directions.length < 2;
  for (const part of document.querySelectorAll(".planes-only")) part.hidden = !isPlane();
  for (const part of document.querySelectorAll(".several-runs")) part.hidden = data.runs.length < 2;
  byId("turning").hidden = true;
  byId("second-field").hidden = !isPlane();
  byId("first").max = run().axes[0].length - 1;
  if (isPlane()) byId("second").max = run().axes[1].length - 1;
}

const originOf = (number) => data.runs[number].origin ?? 0;

/** Where the page opens, and why: at the origin, unless something else is what it is about. */
function opening() {
  if (changed()) return [changed().point, "the tuned model, which the comparison is about"];
  if (state.mark) {
    const { name } = way().marks[state.mark - 1];
    return [ownPoint(state.mark), `checkpoint ${state.mark} (${name}), the first that is outside the basin`];
  }
  const origin = run().origin;
  const judged = (point) => cellOf(point) !== null && cellOf(point).asr !== null;
  if (origin !== null && judged(origin)) return [origin, "the origin, the undisplaced model"];
  const near = nearestJudged(judged);
  const why = origin === null ? "the origin is not on the map" : "nothing was judged at the origin";
  return near === null
    ? [originOf(state.run), "its first point: nothing is judged"]
    : [near, `${run().points[near]}, the nearest point that was judged: ${why}`];
}

/** The point of the chosen direction, or plane, nearest to the origin of those that were judged. */
function nearestJudged(judged) {
  const far = (point) => Math.hypot(...placeOf(point).map((i, k) => (run().axes[k] || [0])[i]));
  const points = run().planes[state.direction].filter(judged);
  return points.length ? points.reduce((best, point) => (far(point) < far(best) ? point : best)) : null;
}

function draw() {
  if (!plotlyIsThere) return;
  const map = byId("map");
  map.style.height = mapHeight();
  if (map.dataset.kind !== kind()) {
    Plotly.purge(map);
    map.replaceChildren();
    map.dataset.kind = kind();
  }
  if (isPlane()) drawPlane();
  else drawCurve();
  if (!map.dataset.wired) wireMap(map);
}

const kind = () => (isPlane() ? state.view : "curve");

/** On a narrow screen a contour is as high as its plane, no higher; else the style decides. */
function mapHeight() {
  const width = byId("map").clientWidth;
  if (kind() !== "contour" || width > 520) return "";
  const [x, y] = run().axes.map(padded).map(([first, last]) => last - first);
  return `${Math.round(Math.min(1, Math.max(0.35, y / x)) * (width - 76) + 66)}px`;
}

function wireMap(map) {
  map.dataset.wired = "yes";
  map.on("plotly_click", (event) => {
    const [hit] = event.points;
    if (hit.data.meta && hit.data.meta.marks) {
      takeMark(hit.pointNumber + 1);
      return;
    }
    if (hit.data.meta && hit.data.meta.direction !== undefined) state.direction = hit.data.meta.direction;
    byId("direction").value = state.direction;
    const [x, y] = run().axes;
    takePoint(pointAt(nearest(x, hit.x), y ? nearest(y, hit.y) : 0));
  });
  map.on("plotly_hover", (event) => {
    const [hit] = event.points;
    const [x, y] = run().axes;
    if (hit.data.meta && hit.data.meta.marks) {
      byId("there").textContent = markSentence(hit.pointNumber + 1);
      return;
    }
    const at = hit.data.meta && hit.data.meta.direction !== undefined ? hit.data.meta.direction : state.direction;
    const width = y ? y.length : 1;
    byId("here").textContent = pointSentence(run().planes[at][nearest(x, hit.x) * width + (y ? nearest(y, hit.y) : 0)]);
  });
  map.on("plotly_unhover", sayPoint);
}

/** A click on a run's curve opens that run at that point. */
function wireComparison(chart) {
  if (chart.hidden || chart.dataset.wired) return;
  chart.dataset.wired = "yes";
  chart.on("plotly_click", (event) => {
    const [hit] = event.points;
    if (!hit.data.meta || hit.data.meta.run === undefined) return;
    takeRun(hit.data.meta.run);
    openPoint(pointAt(nearest(run().axes[0], hit.x)));
    renderPoints();
  });
}

function sayPoint() {
  byId("here").textContent = pointSentence(state.point);
  renderMark();
}

/** Another point: the fields, the map, the sentence and the answers follow. */
function takePoint(point) {
  state.point = point;
  // What lies off the map is the chosen checkpoint itself: the fields stand at its nearest point.
  const place = placeOf(point) || nearestTo(state.mark);
  const names = run().directions[state.direction];
  run().axes.forEach((values, i) => {
    const [slider, value, name] = ["", "-value", "-name"].map((tail) => byId(`${i ? "second" : "first"}${tail}`));
    slider.value = place[i];
    value.textContent = signed(values[place[i]]);
    name.textContent = `${"αβ"[i]} along ${names[i]}`;
    slider.setAttribute("aria-valuetext", `${signed(values[place[i]])}, ${pointSentence(point)}`);
  });
  draw();
  sayPoint();
  updateAnswers();
}

function walk() {
  takePoint(pointAt(Number(byId("first").value), isPlane() ? Number(byId("second").value) : 0));
}

function everything() {
  takePoint(state.point);
  renderPoints();
}

/** Unfold the texts or fold them; rows that hold a text are higher. */
function reveal(shown) {
  state.reveal = shown;
  byId("list").classList.toggle("with-texts", shown);
  choose(chosen);
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").setAttribute("aria-pressed", String(name === "dark"));
  if (!plotlyIsThere) return;
  draw();
  if (byId("compare")) {
    drawComparison();
    wireComparison(byId("compare"));
  }
}

function wire() {
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  on("theme", "click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  on("print", "click", () => window.print());
  on("run", "change", (event) => { takeRun(Number(event.target.value)); everything(); });
  on("judge", "change", (event) => { state.judge = Number(event.target.value); everything(); });
  on("direction", "change", (event) => { state.direction = Number(event.target.value); walk(); });
  on("view", "change", (event) => { state.view = event.target.value; draw(); });
  on("quantity", "change", (event) => { state.quantity = event.target.value; draw(); });
  on("first", "input", walk);
  on("second", "input", walk);
  if (byId("way")) on("checkpoint", "input", (event) => takeMark(Number(event.target.value)));
  on("to-origin", "click", () => takePoint(originOf(state.run)));
  on("turning", "click", (event) => { if (event.target.dataset.turn) turn(event.target.dataset.turn); });
  on("search", "input", (event) => { state.query = event.target.value; updateAnswers(); });
  on("everywhere", "change", (event) => { state.everywhere = event.target.checked; updateAnswers(); });
  if (byId("reveal")) on("reveal", "change", (event) => reveal(event.target.checked));
  byId("filters").replaceChildren(...FILTERS.map((name) => element("button", { type: "button", "data-filter": name }, name)));
  on("filters", "click", (event) => { if (event.target.dataset.filter) { state.filter = event.target.dataset.filter; updateAnswers(); } });
  on("list", "scroll", renderList);
  on("list", "keydown", listKeys);
  on("list", "click", (event) => { const row = event.target.closest(".option"); if (row) choose(Number(row.dataset.index), false); });
  on("points", "toggle", renderPoints);
  on("points-table", "click", (event) => { if (event.target.dataset.point) openPoint(Number(event.target.dataset.point)); });
  window.addEventListener("resize", renderList);
  wirePrint();
}

function openPoint(point) {
  const mark = run().beside.indexOf(point) + 1;
  if (mark) takeMark(mark);
  else {
    const holds = run().planes.findIndex((points) => points.includes(point));
    if (!run().planes[state.direction].includes(point)) state.direction = holds;
    byId("direction").value = state.direction;
    takePoint(point);
  }
  byId("explore").scrollIntoView();
  byId("explore").focus({ preventScroll: true });
}

/** Paper is white: print in the light theme with the table of points open, and go back after. */
function wirePrint() {
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { theme: theme(), open: byId("points").open };
    byId("points").open = true;
    renderPoints();
    setTheme("light");
  });
  window.addEventListener("afterprint", () => {
    if (!before) return;
    byId("points").open = before.open;
    setTheme(before.theme);
    before = null;
  });
}

async function start() {
  data = JSON.parse(await unpack("data"));
  takeRun(0);
  wire();
  everything();
  try {
    await loadPlotly();
    plotlyIsThere = true;
    setTheme(theme());
  } catch (error) {
    byId("map").replaceChildren(element("p", { class: "waiting" }, `The map cannot be drawn here (${error.message}); the fields and the table of points work.`));
  }
  document.documentElement.dataset.ready = "yes";
}

start();
