// Parallel coordinates over objectives and decisions; brushing an axis limits the plans shown.
// Drawn as SVG: no WebGL is needed, it prints sharply and every limit can be typed as a number too.

const limits = new Map(); // place of the column -> [least, most], as shown
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 330, TOP = 62, BOTTOM = 26, SIDE = 54, HIT = 30;
let axes = [];

function svg(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function shownValue(id, at) {
  const value = DATA.points[id][at];
  return value === null ? null : value * DATA.columns[at].scale;
}

function passes(id) {
  for (const [at, [low, high]] of limits) {
    const value = shownValue(id, at);
    if (value === null || value < low || value > high) return false;
  }
  return true;
}

// Axes whose value differs between plans, each with a scale from value to place and back.
function measureAxes(width) {
  const found = [];
  DATA.columns.forEach((column, at) => {
    const values = pointIds().map((id) => shownValue(id, at)).filter((value) => value !== null);
    const low = Math.min(...values), high = Math.max(...values);
    if (!(high > low)) return;
    const log = column.better !== 0 && low > 0 && high / low > 30 && column.key !== "qoe" && column.key !== "cost_gap_relative";
    const forward = log ? Math.log : (value) => value;
    const back = log ? Math.exp : (value) => value;
    const span = forward(high) - forward(low);
    found.push({
      at, column, low, high, log,
      y: (value) => HEIGHT - BOTTOM - ((forward(value) - forward(low)) / span) * (HEIGHT - BOTTOM - TOP),
      value: (y) => back(forward(low) + ((HEIGHT - BOTTOM - y) / (HEIGHT - BOTTOM - TOP)) * span),
    });
  });
  const gap = found.length > 1 ? (width - 2 * SIDE) / (found.length - 1) : 0;
  found.forEach((axis, place) => { axis.x = SIDE + place * gap; });
  return found;
}

function drawParallel() {
  const root = document.getElementById("parallel");
  const width = printing ? PRINT_WIDTH : Math.max(760, root.parentElement.clientWidth);
  root.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  root.classList.toggle("many", pointIds().length > 80);
  axes = measureAxes(width);
  const lines = pointIds()
    .sort((a, b) => rank(a) - rank(b))
    .map((id) => {
      const corners = axes
        .filter((axis) => shownValue(id, axis.at) !== null)
        .map((axis) => `${axis.x.toFixed(1)},${axis.y(shownValue(id, axis.at)).toFixed(1)}`);
      const kind = id === chosen ? "line chosen" : passes(id) ? "line" : "line off";
      return svg("polyline", { class: kind, points: corners.join(" "), "data-point": id });
    });
  root.replaceChildren(...lines, ...axes.flatMap(drawAxis));
}

// What is drawn last lies on top.
function rank(id) {
  return id === chosen ? 2 : passes(id) ? 1 : 0;
}

function drawAxis(axis) {
  const { column, x } = axis;
  const parts = [
    svg("line", { class: "axis", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }),
    svg("text", { class: "axis-name", x, y: 16 }, column.label),
    svg("text", { x, y: 31 }, [column.unit, axis.log ? "log" : ""].filter(Boolean).join(", ")),
    svg("text", { x, y: TOP - 8 }, tickText(column, axis.high) + (column.better > 0 ? " best" : "")),
    svg("text", { x, y: HEIGHT - BOTTOM + 16 }, tickText(column, axis.low) + (column.better < 0 ? " best" : "")),
  ];
  const limit = limits.get(axis.at);
  if (limit) {
    const top = axis.y(Math.min(limit[1], axis.high)), bottom = axis.y(Math.max(limit[0], axis.low));
    parts.push(svg("rect", { class: "brush", x: x - 7, width: 14, y: top - 2, height: Math.max(4, bottom - top + 4) }));
  }
  const hit = svg("rect", { class: "hit", x: x - HIT / 2, width: HIT, y: TOP - 6, height: HEIGHT - BOTTOM - TOP + 12, "data-axis": column.key });
  hit.addEventListener("pointerdown", (event) => brush(event, axis));
  return [...parts, hit];
}

function tickText(column, value) {
  return column.decimals === 0 && Math.abs(value) >= 1e5
    ? value.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 3 })
    : fixed(value, column.decimals);
}

// Drag: keep what lies between; a click without a drag clears the axis.
function brush(event, axis) {
  event.preventDefault();
  const root = document.getElementById("parallel");
  const place = (moved) => {
    const box = root.getBoundingClientRect();
    const y = ((moved.clientY - box.top) / box.height) * HEIGHT;
    return Math.max(TOP, Math.min(HEIGHT - BOTTOM, y));
  };
  const start = place(event);
  let end = start;
  const move = (moved) => {
    end = place(moved);
    if (Math.abs(end - start) > 3) {
      limits.set(axis.at, [axis.value(Math.max(start, end)), axis.value(Math.min(start, end))]);
      drawParallel();
    }
  };
  const up = () => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    if (Math.abs(end - start) <= 3) limits.delete(axis.at);
    limitsChanged();
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", up);
}

function limitsChanged() {
  drawParallel();
  drawTrade();
  followLimits();
  for (const input of document.querySelectorAll("#limits input")) {
    const limit = limits.get(Number(input.dataset.at));
    const decimals = DATA.columns[Number(input.dataset.at)].decimals;
    if (input !== document.activeElement) {
      const value = limit ? limit[Number(input.dataset.end)] : null;
      input.value = value === null || !Number.isFinite(value) ? "" : value.toFixed(decimals);
    }
  }
}

function startParallel() {
  const place = document.getElementById("limits");
  measureAxes(760).forEach(({ at, column, low, high }) => {
    const fields = ["from", "to"].map((word, end) => {
      const input = make("input", { type: "number", step: "any", "data-at": at, "data-end": end,
        placeholder: (end ? high : low).toFixed(column.decimals) });
      input.addEventListener("change", () => typed(at, end, input.value));
      return make("label", {}, word, input);
    });
    const unit = column.unit ? `, ${column.unit}` : "";
    place.append(make("fieldset", {}, make("legend", {}, column.label + unit), ...fields));
  });
  document.getElementById("clear").addEventListener("click", () => { limits.clear(); limitsChanged(); });
}

function typed(at, end, text) {
  const limit = limits.get(at) || [-Infinity, Infinity];
  limit[end] = text === "" ? (end ? Infinity : -Infinity) : Number(text);
  if (limit[0] === -Infinity && limit[1] === Infinity) limits.delete(at);
  else limits.set(at, limit);
  limitsChanged();
}
