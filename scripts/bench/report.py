"""How long a report takes and how large it is, for a front of any size.

python scripts/bench/report.py [--instance reference] [--plans 200] [--from PLAN_RUN ...]

The front is made for the measurement: plans of `planner plan` runs (or, without any, plans made by
hand) are scaled until there are enough that do not dominate one another, as the tests do it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.plan import Plan
from planner.report.brief import brief_html, brief_markdown
from planner.report.files import Report
from planner.report.page import page_data
from planner.report.render import inline_json, plotly_js
from tests.planner.report_runs import front_run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instance", default="reference")
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--from", dest="runs", nargs="*", type=Path, default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bases = [Plan.read(run) for run in asked.runs]
        folder = front_run(Path(scratch) / "front", asked.instance, asked.plans, bases=bases)
        began = time.monotonic()
        report = Report.of(folder)
        read_s = time.monotonic() - began
        page = report.html
        page_s = time.monotonic() - began
        brief_html(report.content), brief_markdown(report.content)
        data = inline_json(page_data(report.content))
        sizes = {
            "page": page,
            "plotly.js": plotly_js(),
            "data": data,
            "all else": page.replace(plotly_js(), "").replace(data, ""),
        }
        print(f"{asked.plans} plans of {asked.instance}: report in {page_s:.1f} s")
        print(f"  of which reading the run {read_s:.1f} s, the page {page_s - read_s:.1f} s")
        for name, text in sizes.items():
            print(f"  {name:<10} {len(text.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
