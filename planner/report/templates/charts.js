// Pictures: the specifications come with the data; here they are filled, painted and kept in size.

const drawn = new Map(); // id of the element -> figure on light paper
const PRINT_WIDTH = 690; // px: A4 and Letter inside their margins, at 96 per inch
let printing = false;

function isDark() {
  return !printing && document.documentElement.dataset.scheme === "dark";
}

// The figure with every colour of the light scheme replaced by its dark one.
function painted(value) {
  if (typeof value === "string") return isDark() && value in DATA.dark ? DATA.dark[value] : value;
  if (Array.isArray(value)) return value.map(painted);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, painted(part)]));
  }
  return value;
}

function draw(id, figure, alternative) {
  const element = document.getElementById(`${id}-plot`);
  if (element === null) return null;
  drawn.set(id, figure);
  if (alternative) element.setAttribute("aria-label", alternative);
  const narrow = element.clientWidth < 520;
  const layout = painted(figure.layout);
  layout.width = printing ? PRINT_WIDTH : undefined;
  layout.autosize = !printing;
  if (narrow && !printing && layout.height > 420) layout.height = 420;
  Plotly.react(element, painted(figure.data), layout, { displayModeBar: false, responsive: !printing, doubleClick: "reset" });
  element.style.height = layout.height ? `${layout.height}px` : "";
  return element;
}

function repaint() {
  for (const [id, figure] of drawn) draw(id, figure);
}

// A waterfall filled with [[name, value] ...], a total and decimals.
function fillWaterfall(spec, [lines, total, decimals]) {
  const figure = structuredClone(spec);
  const trace = figure.data[0];
  const values = [...lines.map(([, value]) => value), total];
  trace.y = [...lines.map(([name]) => DATA.strings[name]), "total"];
  trace.x = values;
  trace.text = values.map((value) => fixed(value, decimals));
  trace.measure = values.map((_, at) => (at < lines.length ? "relative" : "total"));
  figure.layout.xaxis.range = [Math.min(0, total) * 1.3, Math.max(0, total) * 1.3];
  figure.layout.height = rowsHeight(values.length);
  return figure;
}

function rowsHeight(rows) {
  return 24 * Math.max(rows, 1) + 76;
}

function fillFleet(spec, fleet) {
  const figure = structuredClone(spec);
  const names = [];
  const held = new Map();
  for (const [region, accelerator, , market, , mean] of fleet) {
    const name = `${DATA.strings[region]} · ${DATA.strings[accelerator]}`;
    if (!names.includes(name)) names.push(name);
    held.set(`${market}|${name}`, (held.get(`${market}|${name}`) || 0) + mean);
  }
  figure.data.forEach((trace, market) => {
    trace.y = names;
    trace.x = names.map((name) => held.get(`${market}|${name}`) || 0);
    trace.showlegend = trace.x.some((value) => value > 0);
  });
  figure.layout.height = rowsHeight(names.length) + 30;
  return figure;
}

// `at` is the place of the quantity in a workload's row, `target` that in its targets.
function fillRanges(spec, workloads, at, target) {
  const figure = structuredClone(spec);
  const names = workloads.map((row) => DATA.strings[row[0]]);
  const values = workloads.map((row) => row[at][0]);
  const trace = figure.data[0];
  trace.y = names;
  trace.x = values;
  trace.error_x.array = workloads.map((row) => (row[at].length > 1 ? row[at][2] - row[at][0] : 0));
  trace.error_x.arrayminus = workloads.map((row) => (row[at].length > 1 ? row[at][0] - row[at][1] : 0));
  if (figure.data.length > 1) {
    figure.data[1].y = names;
    figure.data[1].x = names.map((name) => (DATA.targets[name] || [])[target] ?? null);
  }
  figure.layout.height = rowsHeight(names.length);
  return figure;
}
