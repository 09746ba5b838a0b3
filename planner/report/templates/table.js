// The table of plans: sorts by its headings, shows what the limits leave, a button shows a plan.

function followLimits() {
  let shown = 0;
  for (const row of document.querySelectorAll("#points tbody tr")) {
    row.hidden = !passes(row.dataset.point);
    shown += row.hidden ? 0 : 1;
  }
  const all = pointIds().length;
  document.getElementById("count").textContent = limits.size ? `${shown} of ${all} plans within the limits.` : `All ${all} plans.`;
  document.getElementById("clear").hidden = limits.size === 0;
}

function sortBy(at, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const key = (row) => (at < 0 ? row.dataset.point : DATA.points[row.dataset.point][at] ?? Infinity);
  const body = document.querySelector("#points tbody");
  const rows = [...body.rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  body.append(...(descending ? rows.reverse() : rows));
}

function startTable() {
  for (const button of document.querySelectorAll("#points thead button")) {
    button.addEventListener("click", () => sortBy(Number(button.dataset.sort), button.parentElement));
  }
}
