// Numbers as the page's tables write them.

function fixed(value, decimals) {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

// Whole from 100 on, else three significant digits.
function telling(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 99.95) return fixed(value, 0);
  if (size >= 9.995) return fixed(value, 1);
  if (size >= 0.9995) return fixed(value, 2);
  return size >= 1e-4 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

function seconds(value) {
  return value < 1 ? `${fixed(value * 1000, value < 0.1 ? 1 : 0)} ms` : `${fixed(value, 2)} s`;
}

function percent(share) {
  return `${fixed(share * 100, 1)} %`;
}

function cell(column, value) {
  return value === null ? "–" : fixed(value * column.scale, column.decimals);
}

// An element with attributes and children; text is never taken for markup.
function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Fills a <table>: heads are [label, unit, is a number]; the first cell of a row is its heading.
function fillTable(table, heads, rows) {
  const head = make("tr", {}, ...heads.map(([label, unit, isNumber]) =>
    make("th", { scope: "col", class: isNumber ? "n" : null }, label, ...(unit ? [make("small", {}, unit)] : []))));
  const body = rows.map((row) => make("tr", {}, ...row.map((content, at) => {
    const tag = at === 0 ? "th" : "td";
    const kind = heads[at][2] ? "n" : heads[at][3] || null;
    return make(tag, { scope: at === 0 ? "row" : null, class: kind }, content);
  })));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
}
