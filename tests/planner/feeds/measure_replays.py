"""Hosted llms, carbon, demand and own tables: answers as published, and the figures in them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping

from tests.planner.feeds.replay import AT, HOUR, Replay, dumped
from tests.planner.feeds.source_server import Asked

# ------------------------------------------------------------------ genai-prices


def genai() -> Replay:
    providers = [
        {"id": "anthropic", "name": "Anthropic", "api_pattern": "https://api\\.anthropic\\.com",
         "models": [
             {"id": "claude-haiku-4-5", "match": {"starts_with": "claude-haiku-4-5"},
              "context_window": 200000,
              "prices": {"input_mtok": 1.1, "cache_write_mtok": 1.25, "cache_read_mtok": 0.11,
                         "output_mtok": 5.5, "web_searches_kcount": 10}},
             {"id": "claude-2", "match": {"starts_with": "claude-2"},
              "prices": {"input_mtok": 8, "output_mtok": 24}},
         ]},
        {"id": "avian", "name": "Avian", "api_pattern": "https://api\\.avian\\.io", "models": []},
    ]  # fmt: skip
    place = "anthropic/claude-haiku-4-5"
    truth = {
        f"{place} input_usd_per_mtok": 1.1,
        f"{place} cached_input_usd_per_mtok": 0.11,
        f"{place} output_usd_per_mtok": 5.5,
    }
    documents = {"data": dumped(providers)}
    return Replay("genai-prices", documents, lambda asked: "data", truth, {}, "url", "text/plain")


# ------------------------------------------------------------------ Electricity Maps

ZONES = {
    "aws:us-east-1": "US-MIDA-PJM",
    "azure:eastus2": "US-MIDA-PJM",
    "aws:eu-central-1": "DE",
    "gcp:us-central1": "US-MIDW-MISO",
    "gcp:europe-west4": "NL",
    "nebius:eu-north1": "FI",
}
USUAL_GCO2E_PER_KWH = {"US-MIDA-PJM": 400, "DE": 350, "US-MIDW-MISO": 480, "NL": 300, "FI": 60}
CARBON_DAYS = 12


def carbon_at(zone: str, when: dt.datetime) -> float:
    return USUAL_GCO2E_PER_KWH[zone] + when.hour + 24 * (when.day % 2)


def electricity_maps() -> Replay:
    end = AT.replace(minute=0)
    start = end - CARBON_DAYS * 24 * HOUR
    hours = [start + step * HOUR for step in range(CARBON_DAYS * 24)]
    documents = {}
    for zone in USUAL_GCO2E_PER_KWH:
        for first in (0, 240):
            part = hours[first : first + 240]
            documents[f"{zone}/{part[0]:%Y-%m-%dT%H:%M:%SZ}"] = dumped({
                "zone": zone,
                "data": [{
                    "zone": zone, "carbonIntensity": carbon_at(zone, when),
                    "datetime": when.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "updatedAt": "2026-11-24T12:00:00.000Z",
                    "emissionFactorType": "lifecycle", "isEstimated": when.hour == 3,
                    "estimationMethod": None, "temporalGranularity": "hourly",
                } for when in part],
            })  # fmt: skip
    truth = {}
    for region, zone in ZONES.items():
        for hour in range(24):
            values = [carbon_at(zone, when) for when in hours if when.hour == hour]
            truth[f"{region}/11/{hour} gco2e_per_kwh"] = math.fsum(values) / len(values)

    def find(asked: Asked) -> str:
        return f"{asked.query['zone']}/{asked.query['start']}"

    return Replay("electricity-maps", documents, find, truth, {"window_days": CARBON_DAYS})


# ------------------------------------------------------------------ Prometheus

DEMAND_REQUESTS_PER_S = {"support-chat": 18.0, "code-completion": 30.0, "nightly-summaries": 3.0}


def demand_at(workload: str, when: dt.datetime) -> float:
    """Rate of the hour that ends at `when`: four levels, by the slice of the day."""
    return DEMAND_REQUESTS_PER_S[workload] * (1.0 + 0.1 * ((when - HOUR).hour // 6))


def matrix(series: Mapping[str, list[tuple[dt.datetime, float]]], label: str) -> bytes:
    return dumped({"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {label: name}, "values": [[when.timestamp(), repr(value)]
                                             for when, value in values]}
        for name, values in series.items()]}})  # fmt: skip


def vector(values: Mapping[str, float], label: str) -> bytes:
    return dumped({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {label: name}, "value": [AT.timestamp(), repr(value)]}
        for name, value in values.items()]}})  # fmt: skip


def prometheus_demand(shares: Mapping[tuple[str, str | None], Mapping[str, float]]) -> Replay:
    """`shares`: (workload, slice) -> origin -> rate of demand.csv, by which rates are split."""
    end = AT.replace(minute=0)
    hours = [end - step * HOUR for step in reversed(range(14 * 24))]
    series = {
        f"llm-{name}": [(when, demand_at(name, when)) for when in hours]
        for name in DEMAND_REQUESTS_PER_S
    }
    series["somebody-else"] = [(when, 7.0) for when in hours]
    levels = {"h00-06": 1.0, "h06-12": 1.1, "h12-18": 1.2, "h18-24": 1.3, None: 1.15}
    truth = {}
    for (workload, part), origins in shares.items():
        if workload not in DEMAND_REQUESTS_PER_S:
            continue
        for origin, rate in origins.items():
            share = rate / math.fsum(origins.values())
            name = "/".join(text for text in (workload, origin, part) if text)
            truth[f"{name} requests_per_s"] = DEMAND_REQUESTS_PER_S[workload] * levels[part] * share
    settings = {"workloads": {f"llm-{name}": name for name in DEMAND_REQUESTS_PER_S}}
    documents = {"data": matrix(series, "model_name")}
    return Replay("prometheus-demand", documents, lambda asked: "data", truth, settings)


def prometheus_lengths() -> Replay:
    requests = {"support-chat": 200_000.0, "code-completion": 900_000.0}
    prompts = {"support-chat": 3_300.0, "code-completion": 1_500.0}
    answers = {"support-chat": 280.0, "code-completion": 55.0}
    series = {
        "vllm:request_prompt_tokens_sum": {w: requests[w] * prompts[w] for w in requests},
        "vllm:request_prompt_tokens_count": requests,
        "vllm:request_generation_tokens_sum": {w: requests[w] * answers[w] for w in requests},
        "vllm:request_generation_tokens_count": requests,
    }
    truth = {
        "support-chat input_tokens": 1_300.0,  # less 5 chunks of 400 tokens
        "support-chat output_tokens": 280.0,
        "code-completion input_tokens": 1_500.0,
        "code-completion output_tokens": 55.0,
    }

    def find(asked: Asked) -> str:
        return next(name for name in series if name + "{" in asked.query["query"])

    return Replay(
        "prometheus-lengths", {name: vector(v, "model_name") for name, v in series.items()}, find,
        truth, {"with_retrieval": ["support-chat"]},
    )  # fmt: skip


# ------------------------------------------------------------------ own tables


def own_table() -> Replay:
    text = (
        "# agreed prices\n"
        "date,region,offer,ondemand_usd_per_h,spot_usd_per_h\n"
        "2026-11-01,aws:us-east-1,aws_p5.48xlarge,60.0,25.0\n"
        "2026-11-20,aws:us-east-1,aws_p5.48xlarge,58.5,24.5\n"
        "2026-11-20,aws:us-east-1,aws_g6.xlarge,0.79,0.38\n"
        "2026-12-01,aws:us-east-1,aws_p5.48xlarge,50.0,20.0\n"
    )
    truth = {
        "aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h": 58.5,
        "aws:us-east-1/aws_p5.48xlarge spot_usd_per_h": 24.5,
        "aws:us-east-1/aws_g6.xlarge ondemand_usd_per_h": 0.79,
        "aws:us-east-1/aws_g6.xlarge spot_usd_per_h": 0.38,
    }
    return Replay(
        "tables", {"data": text.encode()}, lambda asked: "data", truth, {"kind": "prices"}, "url",
        "text/csv",
    )  # fmt: skip
