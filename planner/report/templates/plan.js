// One plan: figures, fleet, adaptation, cost and carbon lines, workloads.

function planName(id) {
  const option = DATA.options[id];
  const named = option ? `${option.letter}, ${option.name}` : "";
  if (!DATA.isFront || id === "current") return named || id;
  return named ? `${id} (${named})` : id;
}

function showPlan(id) {
  const plan = DATA.plans[id];
  const text = (place) => DATA.strings[place];
  document.getElementById("plan-title").textContent = DATA.isFront || id === "current" ? `The plan: ${planName(id)}` : "The plan";
  const column = (key) => DATA.columns.findIndex((one) => one.key === key);
  const shown = DATA.shown[id];
  const figures = ["cost_usd", "carbon_kgco2e", "qoe", "cost_gap_relative", "accelerators_mean"]
    .map(column)
    .map((at) => [DATA.columns[at], shown[at]]);
  const period = ` in ${DATA.hours} h`;
  document.getElementById("plan-figures").replaceChildren(
    ...figures.map(([one, value]) => {
      const label = { cost_usd: `Cost, USD${period}`, carbon_kgco2e: `Carbon, kgCO2e${period}`, qoe: "QoE",
        cost_gap_relative: "Could be cheaper by at most, %", accelerators_mean: "Accelerators held, mean" }[one.key];
      return make("div", { "data-key": one.key }, make("dt", {}, label), make("dd", {}, value));
    }),
    make("div", { "data-key": "water_l" }, make("dt", {}, `Water, l${period}`), make("dd", {}, telling(plan.water))),
  );
  showFleet(plan, text);
  showAdaptation(plan, text);
  for (const [name, unit] of [["cost", "USD"], ["carbon", "kgCO2e"]]) {
    const [lines, total, decimals] = plan[name];
    const said = lines.map(([line, value]) => `${text(line)} ${fixed(value, decimals)}`).join(", ");
    draw(name, fillWaterfall(DATA.figures[name], plan[name]), `${name} by line in ${unit}: ${said}; total ${fixed(total, decimals)}.`);
  }
  showWorkloads(plan, text);
}

function showFleet(plan, text) {
  const bars = fillFleet(DATA.figures.fleet, plan.fleet);
  const said = plan.fleet.map(([region, accelerator, , market, , mean]) =>
    `${text(region)} ${text(accelerator)} ${DATA.markets[market]} ${telling(mean)}`);
  draw("fleet", bars, said.length ? `Mean accelerators: ${said.join(", ")}.` : "No accelerators are held: every answer is bought.");
  fillTable(
    document.getElementById("fleet"),
    [["Region"], ["Accelerator"], ["Offer"], ["Market"], ["Most at once", "accelerators", true], ["Mean", "accelerators", true]],
    plan.fleet.map(([region, accelerator, offer, market, peak, mean]) =>
      [text(region), text(accelerator), text(offer), DATA.markets[market], fixed(peak, 0), telling(mean)]),
  );
  const origins = [...new Set(plan.served.map(([origin]) => origin))];
  const regions = [...new Set(plan.served.map(([, region]) => region))];
  const shares = new Map(plan.served.map(([origin, region, share]) => [`${origin}|${region}`, share]));
  const held = (region) => origins.map((origin) => shares.get(`${origin}|${region}`));
  fillTable(
    document.getElementById("served"),
    [["Answered in"], ...origins.map((origin) => [`from ${text(origin)}`, "", true])],
    regions.map((region) => [text(region), ...held(region).map((share) => (share === undefined ? "–" : percent(share)))]),
  );
}

function showAdaptation(plan, text) {
  const heads = [["Workload"], ["Llm"], ["Adaptation"]];
  if (plan.reasons) heads.push(["Why, and where it would turn", "", false, "reason"]);
  else heads.push(["Why", "", false, "reason"]);
  const rows = plan.adaptation.map(([workload, llm, , said], at) => {
    const row = [text(workload), text(llm), said === undefined ? "" : text(said)];
    const reason = plan.reasons ? plan.reasons[at] : null;
    row.push(reason ? reasonCell(reason) : "Reasons are kept in the plan.json of this plan.");
    return row;
  });
  fillTable(document.getElementById("adaptation"), heads, rows);
}

function reasonCell([reason, turns]) {
  const parts = [reason];
  if (turns) parts.push(make("details", {}, make("summary", {}, "where it would turn"), turns));
  return make("div", {}, ...parts);
}

function showWorkloads(plan, text) {
  const rows = plan.workloads;
  [["qoe", 1, -1, "QoE"], ["ttft_p95_s", 2, 0, "TTFT at the 95th percentile in seconds"], ["tpot_mean_s", 3, 1, "mean TPOT in seconds"]]
    .forEach(([name, at, target, title]) => {
      const said = rows.map((row) => `${text(row[0])} ${row[at][0]}`).join(", ");
      draw(name, fillRanges(DATA.figures[name], rows, at, target), `${title} by workload: ${said}. The bands are in the table below.`);
    });
  const band = ([, low, high], write) => (low === undefined ? "–" : `${write(low)} to ${write(high)}`);
  const qoe = (value) => fixed(value, 3);
  fillTable(
    document.getElementById("workloads"),
    [["Workload"], ["QoE", "", true], ["80 % band", "", true], ["TTFT p95", "", true], ["80 % band", "", true], ["TPOT mean", "", true],
      ["80 % band", "", true], ["In time", "of requests", true], ["Asked", "at least", true], ["Cost", "USD/Mtok", true], ["Carbon", "gCO2e/ktok", true]],
    rows.map(([workload, q, ttft, tpot, inTime, usd, grams]) => {
      const least = (DATA.targets[text(workload)] || [])[2];
      return [text(workload), fixed(q[0], 4), band(q, qoe), seconds(ttft[0]), band(ttft, seconds), seconds(tpot[0]), band(tpot, seconds),
        percent(inTime), least === null || least === undefined ? "–" : percent(least), telling(usd), telling(grams)];
    }),
  );
}
