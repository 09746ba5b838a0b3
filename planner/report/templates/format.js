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
  return size >= 1e-4 ? value.toPrecision(3) : value.toExponential(1);
}

function seconds(value) {
  return value < 1 ? `${fixed(value * 1000, value < 0.1 ? 1 : 0)} ms` : `${fixed(value, 2)} s`;
}

function percent(share) {
  return `${fixed(share * 100, 1)} %`;
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

// Fills a <table>: heads are [label, unit, is a number, class]; the first cell of a row heads it.
function fillTable(table, heads, rows) {
  const head = make("tr", { role: "row" }, ...heads.map(([label, unit, isNumber]) =>
    make("th", { scope: "col", role: "columnheader", class: isNumber ? "n" : null }, label, ...(unit ? [make("small", {}, unit)] : []))));
  const body = rows.map((row) => make("tr", { role: "row" }, ...row.map((content, at) => {
    const [label, , isNumber, kind] = heads[at];
    const common = { class: isNumber ? "n" : kind || null, "data-label": label };
    return at === 0
      ? make("th", { scope: "row", role: "rowheader", ...common }, content)
      : make("td", { role: "cell", ...common }, content);
  })));
  table.setAttribute("role", "table");
  table.replaceChildren(make("thead", { role: "rowgroup" }, head), make("tbody", { role: "rowgroup" }, ...body));
}
