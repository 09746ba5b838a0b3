"""Measured lengths from vLLM's metrics in Prometheus.

Published format: that of `prometheus`, with the histograms ``vllm:request_prompt_tokens`` and
``vllm:request_generation_tokens`` of vLLM (https://docs.vllm.ai/en/latest/usage/metrics).

Lengths are the means over the window, over all series of a workload; for workloads that now run
with retrieval (`with_retrieval`) the retrieved chunks are taken off the prompt.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Naming, Remarks
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.prometheus import Metric, PrometheusFeed, sample, workloads_of
from planner.feeds.tables import MeasuredLength, Reading
from planner.instance.schema import Workload


class PrometheusLengths(PrometheusFeed):
    """``reader = "prometheus-lengths"``: measured prompt and answer lengths."""

    reader: Literal["prometheus-lengths"]
    kind: Literal["lengths"] = "lengths"
    input_metric: Metric = "vllm:request_prompt_tokens"
    """histogram of prompt lengths"""
    output_metric: Metric = "vllm:request_generation_tokens"
    """histogram of answer lengths"""
    with_retrieval: tuple[str, ...] = ()
    """workloads whose measured prompts hold retrieved chunks"""
    least_requests: int = Field(default=1_000, ge=1)
    """fewest requests that a mean is believed from"""

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the workloads with retrieval."""
        yield from super().naming(need)
        yield "with_retrieval", self.with_retrieval, workloads_of(need)

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Mean prompt (without retrieved chunks) and answer by workload, tokens."""
        remarks = Remarks()
        prompts = self._means(need, http, at, self.input_metric, remarks)
        answers = self._means(need, http, at, self.output_metric, remarks)
        rows = [
            MeasuredLength(workload=row.workload, input_tokens=prompt, output_tokens=answer)
            for row in need.instance.workloads
            if (prompt := self._prompt(row, prompts.get(row.workload), remarks))
            and (answer := answers.get(row.workload))
        ]
        self._note_unmeasured([row.workload for row in rows], need, remarks)
        if not rows:
            raise FeedError(
                f"no workload has measured lengths of its own: {'; '.join(remarks.texts)}"
            )
        source = f"{self.url} {self.input_metric}, {self.output_metric}"
        return Reading("lengths", tuple(rows), at, source, tuple(http.answers), remarks.notes,
                       remarks.doubts)  # fmt: skip

    def _prompt(self, row: Workload, measured: float | None, remarks: Remarks) -> float | None:
        """The prompt without retrieved chunks; None where nothing is left, or was measured."""
        if measured is None or row.workload not in self.with_retrieval:
            return measured
        retrieved = row.rag_chunks * row.rag_chunk_tokens
        if measured > retrieved:
            return measured - retrieved
        remarks.doubt(
            f"{row.workload}: prompts of {measured:.4g} tokens cannot hold {retrieved:.4g} "
            "retrieved ones, left out: is with_retrieval right?",
            row.workload,
        )
        return None

    def _means(
        self, need: Need, http: Http, at: dt.datetime, metric: str, remarks: Remarks
    ) -> dict[str, float]:
        """Mean of a histogram over the window by workload: its sum over its count."""
        sums = self._increases(need, http, at, f"{metric}_sum", Remarks())
        counts = self._increases(need, http, at, f"{metric}_count", remarks)
        found = {}
        for name in sorted(sums.keys() | counts.keys()):
            total, count = sums.get(name), counts.get(name)
            if not total or not count:
                remarks.note(f"{name}: {metric} has no tokens, no requests, or NaN: left out")
            elif count < self.least_requests:
                remarks.note(
                    f"{name}: {count:.4g} requests in {metric}, left out (least_requests "
                    f"{self.least_requests})"
                )
            else:
                found[name] = total / count
        return found

    def _increases(
        self, need: Need, http: Http, at: dt.datetime, metric: str, remarks: Remarks
    ) -> dict[str, float | None]:
        """Growth of a counter over the window by workload, None where a part is no number."""
        rise = f"increase({metric}{self._matchers()}[{self.window_days}d])"
        params = {
            "query": f"sum by ({self.workload_label}) ({rise})",
            "time": str(int(at.timestamp())),
        }
        parts: dict[str, float | None] = {}
        for series in self._ask(http, "query", params):
            value = self._value(series)
            if value in parts:
                raise FeedError(f"two series of {metric} are {value[:60]!r}")
            parts[value] = sample(series.value, f"{metric} of {value[:60]!r}")[1]
        found: dict[str, float | None] = {}
        strangers: dict[str, str] = {}
        for value, rise_by in parts.items():
            name = self.workloads.get(value, value)
            if name in workloads_of(need):
                known = found.get(name, 0.0)
                found[name] = None if known is None or rise_by is None else known + rise_by
            else:
                strangers[value] = "NaN" if rise_by is None else f"{rise_by:.4g} requests"
        self._note_strangers(strangers, need, remarks)
        return found
