// The scatter: two objectives, the third as colour; a click shows that plan.

const PLANS_TRACE = "plans"; // as in figures.py
let pair = "trade-0-1";

function drawTrade() {
  const figure = structuredClone(DATA.figures[pair]);
  const [, across, up] = pair.split("-").map(Number);
  const plans = figure.data.find((trace) => trace.name === PLANS_TRACE);
  const ids = pointIds();
  const column = (at) => ids.map((id) => DATA.points[id][at]);
  Object.assign(plans, { ids, x: column(across), y: column(up) });
  plans.customdata = ids.map((id) => [id, ...DATA.points[id].slice(0, 3)]);
  plans.marker.color = column(3 - across - up);
  plans.marker.opacity = ids.map((id) => (passes(id) ? 1 : 0.16));
  Object.assign(figure.data.find((trace) => trace.name === "gap bars"), gapBars(across, up));
  const values = DATA.points[chosen];
  figure.data.push({
    type: "scatter", name: "chosen", x: [values[across]], y: [values[up]], mode: "markers", hoverinfo: "skip",
    marker: { size: 19, symbol: "circle-open", color: DATA.accent, line: { width: 3.5 } },
  });
  if (document.getElementById("trade-plot").clientWidth < 520) plans.marker.colorbar.thickness = 7;
  const element = draw("trade", figure, tradeSaid(across, up));
  if (!element.dataset.listens) {
    element.dataset.listens = "yes";
    element.on("plotly_click", (event) => {
      const point = event.points.find((one) => one.data.name === PLANS_TRACE);
      if (point) choose(point.id);
    });
  }
}

// From each plan to the least cost that is proved for its carbon and QoE; of all plans, or of the
// options and the chosen one.
function gapBars(across, up) {
  const x = [], y = [];
  if (across !== 0 && up !== 0) return { x, y };
  const all = document.getElementById("gap-bars").checked;
  for (const id of pointIds()) {
    if (!(id in DATA.bounds) || !passes(id) || !(all || id in DATA.options || id === chosen)) continue;
    for (const [values, at] of [[x, across], [y, up]]) {
      const value = DATA.points[id][at];
      values.push(value, at === 0 ? DATA.bounds[id] : value, null);
    }
  }
  return { x, y };
}

function tradeSaid(across, up) {
  const names = ["cost", "carbon", "QoE"];
  const count = pointIds().length;
  return `Scatter of ${count} plans: ${names[across]} across, ${names[up]} up, ${names[3 - across - up]} as colour. The table of plans below holds every figure. Chosen: ${planName(chosen)}.`;
}

function startTrade() {
  for (const input of document.querySelectorAll('input[name="pair"]')) {
    input.addEventListener("change", () => { pair = input.value; drawTrade(); });
  }
  document.getElementById("gap-bars").addEventListener("change", drawTrade);
  document.getElementById("reset-view").addEventListener("click", () => {
    Plotly.purge("trade-plot");
    delete document.getElementById("trade-plot").dataset.listens;
    drawTrade();
  });
  document.getElementById("trade-focus").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const ids = pointIds().filter(passes).sort((a, b) => DATA.points[a][0] - DATA.points[b][0]);
    const at = ids.indexOf(chosen);
    choose(ids[Math.max(0, Math.min(ids.length - 1, at + step))] || chosen);
  });
}
