// The scatter: two objectives, the third as colour; a click shows that plan.

const PLANS_TRACE = "plans";
let pair = "trade-0-1";

function drawTrade() {
  const figure = structuredClone(DATA.figures[pair]);
  const [, across, up] = pair.split("-").map(Number);
  const plans = figure.data.find((trace) => trace.name === PLANS_TRACE);
  plans.marker.opacity = plans.ids.map((id) => (passes(id) ? 1 : 0.16));
  figure.data.find((trace) => trace.name.startsWith("gap")).visible = document.getElementById("gap-bars").checked;
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
