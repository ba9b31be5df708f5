// The answers of a point beside those of the origin: filters, search, and a list of which only the seen rows exist.

const FILTERS = ["all", "flipped", ...OUTCOMES, "not judged"];
const MARGIN = 6;
let found = [];
let chosen = -1;
let searched = null;

const count = () => run().promptIds.length;
const pointOf = (entry) => Math.floor(entry / count());
const promptOf = (entry) => entry % count();
const outcomeAt = (point, prompt, number = state.judge) => {
  const row = point === null || point === undefined ? "" : letters(point, number);
  return LETTERS[row ? row[prompt] : "-"] || "no answer";
};

/** Whether the verdict differs from the one on the undisplaced model's answer. */
function flipped(point, prompt) {
  const here = outcomeAt(point, prompt);
  const there = outcomeAt(run().origin, prompt);
  return here !== there && OUTCOMES.includes(here) && OUTCOMES.includes(there);
}

const passes = (filter, point, prompt) =>
  filter === "all" || (filter === "flipped" ? flipped(point, prompt) : outcomeAt(point, prompt) === filter);

/** What a search looks through: lower-case, made once a run. */
function searchTexts() {
  if (searched && searched.run === state.run) return searched;
  const lower = (texts) => (texts.texts || texts.hashes).map((text, i) => `${text} ${texts.thoughts[i] || ""} ${texts.hashes[i]}`.toLowerCase());
  searched = { run: state.run, answers: lower(run().answerTexts), prompts: lower(run().promptTexts), ids: run().promptIds.map((id) => id.toLowerCase()) };
  return searched;
}

function matches(point, prompt, query) {
  if (!query) return true;
  const texts = searchTexts();
  const answer = run().answers[point] ? run().answers[point][prompt] : -1;
  const question = run().promptOf[prompt];
  return texts.ids[prompt].includes(query)
    || (question !== null && texts.prompts[question].includes(query))
    || (answer >= 0 && texts.answers[answer].includes(query));
}

function updateAnswers() {
  const points = state.everywhere ? run().points.map((_, i) => i) : [state.point];
  const query = state.query.trim().toLowerCase();
  const counts = Object.fromEntries(FILTERS.map((name) => [name, 0]));
  found = [];
  for (const point of points) {
    if (!run().answers[point]) continue;
    for (let prompt = 0; prompt < count(); prompt += 1) {
      if (outcomeAt(point, prompt) === "no answer" && run().answers[point][prompt] < 0) continue;
      if (!matches(point, prompt, query)) continue;
      counts.all += 1;
      if (flipped(point, prompt)) counts.flipped += 1;
      const outcome = outcomeAt(point, prompt);
      if (outcome in counts) counts[outcome] += 1;
      if (passes(state.filter, point, prompt)) found.push(point * count() + prompt);
    }
  }
  for (const button of byId("filters").children) {
    button.textContent = `${button.dataset.filter} ${counts[button.dataset.filter]}`;
    button.setAttribute("aria-pressed", String(button.dataset.filter === state.filter));
  }
  const where = state.everywhere ? "at every point" : `at ${run().points[state.point]}`;
  byId("found").textContent = `${found.length} of ${counts.all} answers ${where}, by the judge ${judge().name}`;
  byId("list").scrollTop = 0;
  choose(found.length ? 0 : -1);
}

/** Of a row in pixels: its style knows the width of the page and whether texts are in it. */
const rowHeight = () => parseFloat(getComputedStyle(byId("list")).getPropertyValue("--row"));

/** Make the rows that can be seen, and only these. */
function renderList() {
  const list = byId("list");
  const height = rowHeight();
  const first = Math.max(0, Math.floor(list.scrollTop / height) - MARGIN);
  const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + MARGIN);
  const rows = [];
  for (let i = first; i < last; i += 1) rows.push(option(i, height));
  const spacer = element("div", { role: "presentation" });
  spacer.style.height = `${found.length * height}px`;
  list.replaceChildren(spacer, ...rows);
  if (chosen >= first && chosen < last) list.setAttribute("aria-activedescendant", `option-${chosen}`);
  else list.removeAttribute("aria-activedescendant");
}

function option(i, height) {
  const point = pointOf(found[i]);
  const prompt = promptOf(found[i]);
  const [before, after] = [outcomeAt(run().origin, prompt), outcomeAt(point, prompt)];
  const name = run().promptIds[prompt] + (state.everywhere ? ` · ${run().points[point]}` : "");
  const row = element("div", {
    role: "option", class: "option", id: `option-${i}`, "aria-selected": String(i === chosen),
    "aria-setsize": found.length, "aria-posinset": i + 1,
  },
  element("div", { class: "top" },
    element("span", { class: "name" }, name),
    element("span", { class: "verdicts" }, chip(before), "→", chip(after))),
  element("p", { class: "text" }, textAt(run().answers[point][prompt], 220)));
  row.style.top = `${i * height}px`;
  row.dataset.index = i;
  return row;
}

const chip = (outcome) => element("span", { class: `chip ${OUTCOMES.includes(outcome) ? outcome : ""}` }, outcome);

/** An answer's text where the page holds it and it is unfolded, else its fingerprint. */
function textAt(number, limit = Infinity, texts = run().answerTexts) {
  if (number === undefined || number === null || number < 0) return "no answer";
  if (!texts.texts || !state.reveal) return `sha256 ${texts.hashes[number]}`;
  const text = texts.texts[number];
  if (text === "") return texts.thoughts[number] ? "(a thought, and no answer)" : "(empty)";
  return text.slice(0, limit);
}

/** What was thought before an answer, folded; nothing where texts are hidden or nothing was. */
function thoughtAt(number) {
  const thought = state.reveal ? run().answerTexts.thoughts[number] : undefined;
  if (!thought) return [];
  return [element("details", { class: "thought" },
    element("summary", {}, `thought before the answer, ${thought.length} characters`),
    element("p", { class: "said" }, thought))];
}

function choose(i, scroll = true) {
  chosen = i;
  const list = byId("list");
  if (scroll && i >= 0) {
    const height = rowHeight();
    if (i * height < list.scrollTop) list.scrollTop = i * height;
    if ((i + 1) * height > list.scrollTop + list.clientHeight) list.scrollTop = (i + 1) * height - list.clientHeight;
  }
  renderList();
  renderDetail();
}

function renderDetail() {
  const detail = byId("detail");
  if (chosen < 0) {
    detail.replaceChildren(element("p", { class: "about" }, run().answers[state.point] || state.everywhere ? "No answer fits." : "This point was not measured."));
    return;
  }
  const point = pointOf(found[chosen]);
  const prompt = promptOf(found[chosen]);
  const { origin } = run();
  detail.replaceChildren(
    element("h3", {}, run().promptIds[prompt]),
    element("h4", {}, "Prompt"),
    element("p", { class: "said" }, textAt(run().promptOf[prompt], Infinity, run().promptTexts)),
    element("div", { class: "sides" }, side("Undisplaced", origin, prompt), side(`At ${run().points[point]}`, point, prompt)),
    verdictTable(origin, point, prompt),
  );
}

function side(title, point, prompt) {
  const answers = point === null ? null : run().answers[point];
  const number = answers ? answers[prompt] : -1;
  const more = run().answerTexts.cut[number];
  const ends = { e: "ended by itself", l: "cut at the limit of tokens", v: "ended when its verdict was decided", "-": "" };
  const parts = [element("h4", {}, title, chip(outcomeAt(point, prompt))), ...thoughtAt(number), element("p", { class: "said" }, textAt(number))];
  if (more) parts.push(element("p", { class: "about" }, `${more} more characters are in the run folder`));
  if (number >= 0) parts.push(element("p", { class: "about" }, `${run().tokens[point][prompt]} tokens, ${ends[run().ends[point][prompt]]}${state.reveal ? ` · sha256 ${run().answerTexts.hashes[number]}` : ""}`));
  return element("div", {}, ...parts);
}

function verdictTable(origin, point, prompt) {
  const reason = (number, at) => {
    const { why, reasons } = run().verdicts[number];
    return why && state.reveal && at !== null && why[at][prompt] >= 0 ? reasons[why[at][prompt]] : "";
  };
  const rows = run().judges.map((one, number) => element("tr", {},
    element("th", { scope: "row" }, one.name),
    ...[origin, point].map((at) => element("td", {}, chip(outcomeAt(at, prompt, number)), element("div", { class: "about" }, reason(number, at))))));
  return element("table", {},
    element("thead", {}, element("tr", {}, ...["judge", "undisplaced", "here"].map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows));
}

function listKeys(event) {
  const page = Math.max(1, Math.floor(byId("list").clientHeight / rowHeight()) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (!(event.key in steps) || !found.length) return;
  event.preventDefault();
  choose(Math.min(found.length - 1, Math.max(0, chosen + steps[event.key])));
}
