"""Write docs/accuracy.md: the errors of the serving predictions, cross-validated.

python scripts/accuracy_page.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fit_serving import Points, band, evaluate

PAGE = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
QUANTITY = {"tpot": "TPOT", "ttft": "TTFT", "rate": "tokens/s"}
GOALS = {
    ("transferred", "tpot"): "15 / 40", ("transferred", "ttft"): "30 / -",
    ("transferred", "rate"): "15 / 40", ("interpolated", "tpot"): "6 / 18",
    ("interpolated", "ttft"): "12 / -",
}  # fmt: skip
TESTS = {
    "transferred": "unseen llm x accelerator (8 folds of whole combinations, law refitted)",
    "interpolated": "known combination, point left out (5 folds of distinct points, same law)",
    "measured": "a random fifth of all rows left out (repeats may stay, same law)",
}


def row(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def held_out_coverage(table: pd.DataFrame, quantity: str) -> float:
    """Share inside the 80 % band when the band comes from the other half of the combinations."""
    unique = np.unique(table["combination"])
    np.random.default_rng(1).shuffle(unique)
    half = table["combination"].isin(unique[::2])
    inside = []
    for one, other in ((half, ~half), (~half, half)):
        low, high = band(table[one], quantity)
        logs = table.loc[other, f"{quantity}_log"].replace([np.inf, -np.inf], np.nan).dropna()
        inside.append(np.exp(logs).between(low, high))
    return float(pd.concat(inside).mean() * 100.0)


def main() -> None:
    points = Points.load()
    _, anchors, bands, report, tables = evaluate(points)
    lines = [
        "# Accuracy of the serving predictions",
        "",
        "Made by `python scripts/accuracy_page.py`; the tables it judges are written by",
        "`python scripts/fit_serving.py`. Do not edit by hand, save for waiting.",
        "",
        f"{len(points.frame)} measured points (`serving_points.csv.gz`, use = latency), "
        f"{len(anchors)} distinct ones anchor the known combinations. Static batches help the fit",
        "but are not scored. Errors are absolute, in percent of the measurement; goals are",
        "median / p90. The median of combinations weighs every llm x accelerator equally.",
        "",
        "## Errors",
        "",
        row("test", "quantity", "points", "combinations", "median", "mean", "p90",
            "median of combinations", "goal"),
        row(*["---"] * 9),
    ]  # fmt: skip
    for r in report:
        key = (str(r["test"]), str(r["quantity"]))
        figures = [f"{r[c]:.1f}" for c in ("median", "mean", "p90", "median_of_combinations")]
        lines.append(row(TESTS[key[0]], QUANTITY[key[1]], r["points"], r["combinations"],
                         *figures, GOALS.get(key, "-")))  # fmt: skip
    lines += [
        "",
        "## 80 % bands",
        "",
        "Factors on the prediction: the 10th and 90th percentile of measured / predicted.",
        "Coverage: bands of one half of the combinations, judged on the other half.",
        "",
        row("provenance", "quantity", "low", "high", "coverage, %"),
        row(*["---"] * 5),
    ]
    for (provenance, quantity), (low, high) in bands.items():
        coverage = held_out_coverage(tables[provenance], quantity)
        lines.append(row(provenance, QUANTITY[quantity], f"{low:.2f}", f"{high:.2f}",
                         f"{coverage:.0f}"))  # fmt: skip
    worst = tables["transferred"].groupby("combination")
    table = worst[["tpot_error", "ttft_error", "rate_error"]].median()
    table["points"] = worst.size()
    table = table.sort_values("tpot_error", ascending=False)
    lines += [
        "",
        "## Unseen combinations, one by one (median error, %)",
        "",
        row("combination", "points", "TPOT", "TTFT", "tokens/s"),
        row(*["---"] * 5),
    ]
    for name, found in table.iterrows():
        cells = ["-" if pd.isna(found[c]) else f"{found[c]:.1f}" for c in
                 ("tpot_error", "ttft_error", "rate_error")]  # fmt: skip
        lines.append(row(str(name).replace("|", " on "), int(found["points"]), *cells))
    lines += [
        "", "## What the words mean", "",
        "- measured: a shipped point of this very combination within 5 % of every length and of",
        "  the concurrency; interpolated: the combination was measured elsewhere; transferred: the",
        "  accelerator was measured with other llms, engines, precisions or widths; roofline: no",
        "  point on this accelerator (band 0.45-2.5, a judgement, not cross-validated); user: your",
        "  own calibration.",
        "- The mean of TTFT errors is ruled by a few points with hidden queueing.",
        "- Repeats of one engine version differ by up to 8 % TPOT and 20 % TTFT (p90), versions by",
        "  25 % and 37 %: no law can be better than that.",
        "",
    ]  # fmt: skip
    PAGE.parent.mkdir(exist_ok=True)
    by_hand = PAGE.read_text(encoding="utf-8").partition("## Waiting\n")
    page = "\n".join(lines) + "\n" + "".join(by_hand[1:])
    PAGE.write_text(page.rstrip("\n") + "\n", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
