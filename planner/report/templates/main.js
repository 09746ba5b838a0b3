// Start, the chosen plan, the scheme, and paper.

let chosen = DATA.chosen;

function pointIds() {
  return Object.keys(DATA.points).filter((id) => id !== "current");
}

function choose(id) {
  if (!(id in DATA.plans)) return;
  chosen = id;
  const select = document.getElementById("choose");
  if (select) select.value = id;
  document.getElementById("plan-status").textContent = DATA.isFront ? `Shown: ${planName(id)}.` : "";
  for (const row of document.querySelectorAll("tr[data-point]")) {
    if (row.dataset.point === id) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  showPlan(id);
  if (DATA.isFront) { drawTrade(); drawParallel(); }
}

function startScheme() {
  const button = document.getElementById("scheme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const set = (dark) => {
    document.documentElement.dataset.scheme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(dark));
    repaint();
  };
  button.addEventListener("click", () => set(document.documentElement.dataset.scheme !== "dark"));
  system.addEventListener("change", (event) => set(event.matches));
  set(system.matches);
}

// Paper: light, one width, everything unfolded.
function startPrint() {
  const folded = new Set();
  let scheme = "light";
  const before = () => {
    if (printing) return;
    printing = true;
    scheme = document.documentElement.dataset.scheme;
    document.documentElement.dataset.scheme = "light";
    for (const one of document.querySelectorAll("details:not(.limits)")) if (!one.open) { one.open = true; folded.add(one); }
    repaint();
    if (DATA.isFront) drawParallel();
  };
  const after = () => {
    printing = false;
    document.documentElement.dataset.scheme = scheme;
    for (const one of folded) one.open = false;
    folded.clear();
    repaint();
    if (DATA.isFront) drawParallel();
  };
  window.addEventListener("beforeprint", before);
  window.addEventListener("afterprint", after);
}

function startSections() {
  const links = new Map([...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const id of links.keys()) seen.observe(document.getElementById(id));
}

function startTip() {
  const holder = document.querySelector(".tip-holder");
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") holder.classList.add("closed"); });
  for (const name of ["mouseenter", "focusin"]) holder.addEventListener(name, () => holder.classList.remove("closed"));
}

startScheme();
startTip();
startSections();
for (const button of document.querySelectorAll(".pick")) {
  button.addEventListener("click", () => choose(button.closest("tr").dataset.point));
}
const select = document.getElementById("choose");
if (select) select.addEventListener("change", () => choose(select.value));
if (DATA.isFront) {
  startTrade();
  startParallel();
  startTable();
  followLimits();
  for (const name of ["steps-carbon", "steps-qoe"]) if (DATA.figures[name]) draw(name, DATA.figures[name]);
  new ResizeObserver(() => { if (!printing) drawParallel(); }).observe(document.getElementById("parallel").parentElement);
}
choose(chosen);
startPrint();
document.documentElement.dataset.ready = "yes";
