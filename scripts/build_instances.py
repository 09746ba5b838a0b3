"""Write the shipped instances tiny, small and reference from the shipped catalog.

Usage: python scripts/build_instances.py [DIR]        (default: instances/)

The companies, their demand levels, quality scores and rules are examples made up for the
instances, and say so. Prices, carbon, latencies and llms are the catalog's, by id; the daily
course of demand is that of the catalog's traces, moved to the time zone of each origin.
Two runs write identical bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from instance_writer import (
    BUSINESS,
    CHAT,
    STEADY,
    Cells,
    Feature,
    Lengths,
    Origin,
    Trace,
    day_blocks,
    named,
    tables,
    week_blocks,
    write_instance,
)

from planner.catalog.reader import Catalog, load_catalog

INSTANCES = Path(__file__).resolve().parent.parent / "instances"

US, EUROPE, APAC, SOUTH_AMERICA = "us-east", "europe", "apac", "south-america"
ORIGINS = {
    US: Origin("aws:us-east-1", -4),
    EUROPE: Origin("aws:eu-central-1", 2),
    APAC: Origin("aws:ap-northeast-1", 9),
    SOUTH_AMERICA: Origin("aws:sa-east-1", -3),
}
"""Offsets to UTC in September."""

# ------------------------------------------------------------------ tiny

TINY_SETTINGS = """\
# Small enough to try every plan: two workloads, two regions, two accelerators, two slices.
format_version = 1
name = "tiny"
description = "Two workloads, small enough to try every plan. Demand and quality are made up."

[period]
start = 2026-09-01
hours = 728.0

[serving]
operating_tpot_s = [0.05]
prompt_lane_tokens = [4096.0]

[policy]
commitments = []
"""


def write_tiny(catalog: Catalog, folder: Path) -> None:
    features = [
        Feature(
            "chat",
            CHAT,
            {US: 1.2, EUROPE: 0.8},
            [Lengths("all", 1.0, 600, 200)],
            1.0,
            {"rag": 0.10, "fine-tune": 0.15},
            [
                ("llama-3.1-8b", ["base", "fine-tune"]),
                ("qwen3-32b", ["base"]),
            ],
            {"ttft_target_s": 2.0, "tpot_target_s": 0.08, "quality_min": 0.6,
             "training_tokens": 2_000_000, "staff_h_per_refresh": 2},
        ),
        Feature(
            "documents",
            CHAT,
            {US: 0.6, EUROPE: 0.6},
            [Lengths("all", 1.0, 500, 250)],
            1.1,
            {"rag": 0.45},
            [
                ("llama-3.1-8b", ["base", "rag"]),
                ("qwen3-32b", ["base", "rag"]),
            ],
            {"ttft_target_s": 3.0, "tpot_target_s": 0.08, "quality_min": 0.6,
             "corpus_tokens": 20_000_000, "facts_change_per_day": 0.005, "affected_share": 0.2,
             "index_staff_h_per_month": 1},
        ),
    ]  # fmt: skip
    blocks = day_blocks(728.0, 2, month=9)
    write_instance(
        folder,
        TINY_SETTINGS,
        {
            **tables(catalog, features, blocks, ORIGINS),
            "regions": named("region", ["gcp:us-central1", "aws:eu-north-1"]),
            "accelerators": named("accelerator", ["l4", "h100-sxm"]),
            "llms": [
                {"llm": "llama-3.1-8b", "precisions": "fp8", "max_accelerators_per_replica": 1},
                {"llm": "qwen3-32b", "precisions": "fp8", "max_accelerators_per_replica": 1},
            ],
        },
    )


# ------------------------------------------------------------------ small

SMALL_SETTINGS = """\
# Solved in seconds: four workloads, three origins, four regions, all adaptations.
format_version = 1
name = "small"
description = "Four workloads of a small company. Demand and quality are made up."

[period]
start = 2026-09-01
hours = 728.0

[serving]
operating_tpot_s = [0.03, 0.06]
prompt_lane_tokens = [4096.0, 16384.0]

[policy]
# Terms of years, for a fleet that is to stay: what they bind beyond the period is told in the plan.
commitments = ["commit-1y", "commit-3y"]
spot_share_max = 0.3
"""


def write_small(catalog: Catalog, folder: Path) -> None:
    every = ["base", "rag", "fine-tune", "rag+fine-tune"]
    features = [
        Feature(
            "support-chat",
            CHAT,
            {US: 6.0, EUROPE: 5.0, APAC: 3.0},
            [Lengths("short", 0.7, 600, 220, 1.0, 0.3), Lengths("long", 0.3, 2400, 350)],
            1.0,
            {"rag": 0.40, "fine-tune": 0.25, "rag+fine-tune": 0.45},
            [("llama-3.1-8b", every), ("qwen3-32b", ["base", "rag", "fine-tune"])],
            {"task_class": "general", "ttft_target_s": 1.5, "tpot_target_s": 0.08,
             "consumption_tokens_per_s": 6, "quality_min": 0.68, "facts_change_per_day": 0.01,
             "affected_share": 0.2, "corpus_tokens": 40_000_000, "training_tokens": 8_000_000,
             "staff_h_per_refresh": 20},
        ),
        Feature(
            "code-completion",
            BUSINESS,
            {US: 8.0, EUROPE: 6.0, APAC: 4.0},
            [Lengths("all", 1.0, 1800, 40, 0.6, 0.6)],
            1.0,
            {"rag": 0.15, "fine-tune": 0.35},
            [("llama-3.1-8b", ["base", "rag", "fine-tune"]), ("qwen3-30b-a3b", ["base"]),
             ("qwen3-32b", ["base", "fine-tune"])],
            {"task_class": "code", "expected_ttft_s": 0.4, "consumption_tokens_per_s": 30,
             "ttft_target_s": 0.8, "tpot_target_s": 0.05, "quality_min": 0.69,
             "corpus_tokens": 30_000_000, "training_tokens": 40_000_000,
             "staff_h_per_refresh": 20},
        ),
        Feature(
            "document-questions",
            BUSINESS,
            {US: 2.0, EUROPE: 2.0, APAC: 1.0},
            [Lengths("all", 1.0, 700, 300)],
            1.1,
            {"rag": 0.50, "fine-tune": 0.05},
            [("llama-3.1-8b", ["base", "rag"]), ("qwen3-32b", ["base", "rag", "fine-tune"])],
            {"ttft_target_s": 2.5, "tpot_target_s": 0.08, "quality_min": 0.6,
             "facts_change_per_day": 0.02, "affected_share": 0.2, "corpus_tokens": 200_000_000,
             "training_tokens": 20_000_000, "residency": None},
        ),
        Feature(
            "nightly-summaries",
            STEADY,
            {US: 1.5, EUROPE: 1.5},
            [Lengths("all", 1.0, 6000, 350)],
            0.9,
            {"fine-tune": 0.2},
            [("llama-3.1-8b", ["base", "fine-tune"]), ("qwen3-32b", ["base"])],
            {"kind": "batch", "quality_min": 0.6, "training_tokens": 5_000_000},
        ),
    ]  # fmt: skip
    blocks = day_blocks(728.0, 4, month=9)
    write_instance(
        folder,
        SMALL_SETTINGS,
        {
            **tables(catalog, features, blocks, ORIGINS),
            "regions": named(
                "region",
                ["aws:us-east-1", "gcp:europe-west4", "aws:eu-north-1", "aws:ap-northeast-1"],
            ),
            "accelerators": named("accelerator", ["l4", "l40s", "h100-sxm"]),
            "llms": [
                {"llm": "llama-3.1-8b", "precisions": "fp8", "max_accelerators_per_replica": 1},
                {"llm": "qwen3-30b-a3b", "precisions": "fp8", "max_accelerators_per_replica": 2},
                {"llm": "qwen3-32b", "precisions": "fp8", "max_accelerators_per_replica": 4},
            ],
            "quotas": [
                {"region": "aws:us-east-1", "accelerator": "h100-sxm", "accelerators": 24},
                {"region": "aws:ap-northeast-1", "accelerator": "h100-sxm", "accelerators": 16},
            ],
        },
    )


# ------------------------------------------------------------------ reference

REFERENCE_SETTINGS = """\
# A large company with fourteen language features, users on four continents, three clouds
# and one site of its own. Demand levels, quality scores, the hosted llm's speed and carbon and
# the company's rules are illustrative figures: replace them with your own measurements.
format_version = 1
name = "reference"
description = "Fourteen features, four continents, three clouds, one own site; illustrative \
demand levels and quality: replace them with your own"

[period]
start = 2026-09-01
hours = 728.0

[serving]
operating_tpot_s = [0.03, 0.06]
prompt_lane_tokens = [4096.0, 32768.0]

[policy]
# Terms of years, for a fleet that is to stay: what they bind beyond the period is told in the plan.
commitments = ["commit-1y", "commit-3y"]
spot_share_max = 0.3
attainment_min = 0.9
"""

ALL = ("base", "rag", "fine-tune")
BOTH = ("base", "rag", "fine-tune", "rag+fine-tune")

REFERENCE_FEATURES = [
    Feature(
        "support-chat",
        CHAT,
        {US: 1056.0, EUROPE: 864.0, APAC: 576.0, SOUTH_AMERICA: 288.0},
        Trace("azure_2023_conv"),
        1.0,
        {"rag": 0.40, "fine-tune": 0.30, "rag+fine-tune": 0.48},
        [("llama-3.1-8b", BOTH), ("qwen3-32b", ("base", "fine-tune")),
         ("llama-3.3-70b", ("base",)), ("claude-haiku-4-5", ("base", "rag"))],
        {"ttft_target_s": 1.5, "tpot_target_s": 0.08, "consumption_tokens_per_s": 6,
         "quality_min": 0.66, "facts_change_per_day": 0.01, "affected_share": 0.2,
         "region_loss_share": 0.4, "corpus_tokens": 40_000_000, "training_tokens": 8_000_000,
         "attainment_min": 0.95},
        more_variants=[{"llm": "llama-3.1-8b", "adaptation": "fine-tune", "refresh_days": 7}],
    ),
    Feature(
        "code-completion",
        BUSINESS,
        {US: 1920.0, EUROPE: 1440.0, APAC: 1200.0, SOUTH_AMERICA: 240.0},
        [Lengths("all", 1.0, 1800, 40, 0.6, 0.6)],
        1.0,
        {"rag": 0.15, "fine-tune": 0.35, "rag+fine-tune": 0.40},
        [("llama-3.1-8b", ALL), ("qwen3-30b-a3b", ("base", "fine-tune")),
         ("qwen3-32b", ("base", "rag"))],
        {"task_class": "code", "expected_ttft_s": 0.4, "consumption_tokens_per_s": 30,
         "ttft_target_s": 0.8, "tpot_target_s": 0.05, "quality_min": 0.67,
         "region_loss_share": 0.4, "corpus_tokens": 30_000_000, "training_tokens": 60_000_000,
         "rag_chunks": 3, "qoe_weight": 1.0},
        more_variants=[{"llm": "llama-3.1-8b", "adaptation": "fine-tune", "method": "full"}],
    ),
    Feature(
        "coding-agent",
        BUSINESS,
        {US: 144.0, EUROPE: 96.0, APAC: 96.0},
        [Lengths("medium", 0.7, 9000, 450, 1.2, 0.75), Lengths("long", 0.3, 26000, 700, 1.2, 0.85)],
        1.1,
        {"rag": 0.10, "fine-tune": 0.12},
        [("qwen3-32b", ALL), ("gpt-oss-120b", ALL), ("llama-3.3-70b", ("base",)),
         ("claude-haiku-4-5", ("base",))],
        {"task_class": "code", "expected_ttft_s": 2.0, "consumption_tokens_per_s": 30,
         "ttft_target_s": 5.0, "tpot_target_s": 0.08, "streaming_exponent": 0.5,
         "quality_min": 0.71, "corpus_tokens": 60_000_000, "training_tokens": 60_000_000,
         "qoe_weight": 4.0},
    ),
    Feature(
        "document-questions",
        BUSINESS,
        {US: 288.0, EUROPE: 288.0, APAC: 240.0, SOUTH_AMERICA: 96.0},
        [Lengths("all", 1.0, 700, 300)],
        1.1,
        {"rag": 0.50, "fine-tune": 0.05, "rag+fine-tune": 0.52},
        [("llama-3.1-8b", ALL), ("qwen3-32b", ALL), ("llama-3.3-70b", ("base",))],
        {"task_class": "document-qa", "ttft_target_s": 2.5, "tpot_target_s": 0.08,
         "quality_min": 0.6, "facts_change_per_day": 0.02, "affected_share": 0.2,
         "corpus_tokens": 400_000_000, "training_tokens": 30_000_000, "qoe_weight": 2.0},
    ),
    Feature(
        "legal-review",
        BUSINESS,
        {EUROPE: 72.0},
        Trace("mooncake_conversation"),
        1.1,
        {"rag": 0.25, "fine-tune": 0.20, "rag+fine-tune": 0.35},
        [("qwen3-32b", BOTH), ("gpt-oss-120b", ALL), ("llama-3.3-70b", ALL)],
        {"task_class": "legal", "expected_ttft_s": 3.0, "ttft_target_s": 8.0,
         "tpot_target_s": 0.1, "quality_min": 0.69, "residency": "eu",
         "facts_change_per_day": 0.003, "affected_share": 0.1, "corpus_tokens": 250_000_000,
         "training_tokens": 40_000_000, "reranked_documents": 20, "qoe_weight": 10.0},
    ),
    Feature(
        "medical-notes",
        BUSINESS,
        {EUROPE: 192.0},
        [Lengths("all", 1.0, 1800, 500)],
        1.0,
        {"rag": 0.15, "fine-tune": 0.40, "rag+fine-tune": 0.38},
        [("llama-3.1-8b", ALL), ("qwen3-32b", ALL), ("llama-3.3-70b", ("base",))],
        {"task_class": "medical", "expected_ttft_s": 2.0, "ttft_target_s": 4.0,
         "tpot_target_s": 0.1, "quality_min": 0.72, "residency": "eu",
         "corpus_tokens": 80_000_000, "training_tokens": 15_000_000,
         "staff_h_per_refresh": 60, "qoe_weight": 4.0},
        more_variants=[{"llm": "llama-3.1-8b", "adaptation": "fine-tune", "method": "full",
                        "refresh_days": 90}],
    ),
    Feature(
        "summaries",
        STEADY,
        {US: 192.0, EUROPE: 192.0},
        Trace("arxiv_summarization", ("all",)),
        0.9,
        {"rag": 0.02, "fine-tune": 0.20},
        [("llama-3.1-8b", ALL), ("qwen3-30b-a3b", ("base", "fine-tune")), ("qwen3-32b", ("base",)),
         ("claude-haiku-4-5", ("base",))],
        {"kind": "batch", "task_class": "summarisation", "quality_min": 0.66,
         "corpus_tokens": 10_000_000, "training_tokens": 10_000_000, "rag_chunks": 2},
    ),
    Feature(
        "ticket-triage",
        BUSINESS,
        {US: 1440.0, EUROPE: 1200.0, APAC: 720.0, SOUTH_AMERICA: 384.0},
        [Lengths("all", 1.0, 350, 6, 0.5)],
        0.9,
        {"rag": 0.15, "fine-tune": 0.55, "rag+fine-tune": 0.55},
        [("llama-3.1-8b", ALL), ("qwen3-32b", ("base", "rag"))],
        {"task_class": "classification", "expected_ttft_s": 1.0, "consumption_tokens_per_s": 20,
         "ttft_target_s": 2.0, "quality_min": 0.75, "corpus_tokens": 5_000_000,
         "training_tokens": 5_000_000, "rag_chunks": 2, "staff_h_per_refresh": 16},
    ),
    Feature(
        "voice-assistant",
        CHAT,
        {US: 384.0, EUROPE: 336.0, APAC: 288.0, SOUTH_AMERICA: 144.0},
        [Lengths("all", 1.0, 450, 70, 0.8, 0.6)],
        0.95,
        {"rag": 0.20, "fine-tune": 0.30},
        [("llama-3.1-8b", ALL), ("qwen3-30b-a3b", ("base", "rag"))],
        {"task_class": "general", "expected_ttft_s": 0.3, "consumption_tokens_per_s": 3.3,
         "ttft_target_s": 0.9, "tpot_target_s": 0.15, "quality_min": 0.64,
         "facts_change_per_day": 0.005, "affected_share": 0.1, "rag_chunks": 2,
         "corpus_tokens": 10_000_000, "training_tokens": 6_000_000},
    ),
    Feature(
        "translation",
        BUSINESS,
        {US: 480.0, EUROPE: 720.0, APAC: 576.0, SOUTH_AMERICA: 288.0},
        [Lengths("all", 1.0, 500, 550, 0.7)],
        0.8,
        {"rag": 0.05, "fine-tune": 0.30},
        [("llama-3.1-8b", ALL), ("qwen3-32b", ("base", "rag")), ("gpt-oss-120b", ("base",))],
        {"task_class": "style", "expected_ttft_s": 1.5, "consumption_tokens_per_s": 8,
         "ttft_target_s": 3.0, "tpot_target_s": 0.08, "quality_min": 0.76,
         "corpus_tokens": 10_000_000, "training_tokens": 30_000_000, "rag_chunks": 2},
    ),
    Feature(
        "search-answers",
        CHAT,
        {US: 720.0, EUROPE: 576.0, APAC: 480.0, SOUTH_AMERICA: 240.0},
        [Lengths("all", 1.0, 300, 160)],
        1.1,
        {"rag": 0.55, "fine-tune": 0.04, "rag+fine-tune": 0.50},
        [("llama-3.1-8b", ("base", "rag")), ("qwen3-30b-a3b", ("base", "rag")),
         ("qwen3-32b", ("base", "fine-tune")), ("claude-haiku-4-5", ("base", "rag"))],
        {"task_class": "current-events", "ttft_target_s": 1.5, "tpot_target_s": 0.08,
         "consumption_tokens_per_s": 6, "quality_min": 0.55, "facts_change_per_day": 0.05,
         "affected_share": 0.3, "region_loss_share": 0.4, "corpus_tokens": 600_000_000,
         "training_tokens": 50_000_000, "rag_chunks": 6, "rag_chunk_tokens": 250},
        more_variants=[{"llm": "qwen3-32b", "adaptation": "fine-tune", "refresh_days": 7}],
    ),
    Feature(
        "internal-copilot",
        BUSINESS,
        {US: 240.0, EUROPE: 192.0, APAC: 96.0},
        [Lengths("all", 1.0, 1500, 400)],
        1.05,
        {"rag": 0.35, "fine-tune": 0.15, "rag+fine-tune": None},
        [("llama-3.1-8b", BOTH), ("qwen3-32b", ALL), ("claude-haiku-4-5", ("base", "rag"))],
        {"task_class": "general", "ttft_target_s": 2.5, "tpot_target_s": 0.08,
         "quality_min": 0.66, "facts_change_per_day": 0.01, "affected_share": 0.2,
         "corpus_tokens": 120_000_000, "training_tokens": 20_000_000, "qoe_weight": 2.0},
        more_variants=[{"llm": "llama-3.1-8b", "adaptation": "rag",
                        "check_llm": "llama-3.3-70b", "check_share": 0.25}],
    ),
    Feature(
        "nightly-evaluation",
        STEADY,
        {US: 144.0},
        [Lengths("all", 1.0, 2500, 300)],
        1.0,
        {"rag": 0.10, "fine-tune": 0.10},
        [("qwen3-32b", ALL), ("gpt-oss-120b", ALL), ("llama-3.3-70b", ALL)],
        {"kind": "batch", "task_class": "general", "quality_min": 0.75,
         "corpus_tokens": 5_000_000, "training_tokens": 5_000_000, "rag_chunks": 2},
        allowed_slices="weekday-00-06;weekday-06-12;weekend-00-06;weekend-06-12;"
        "weekend-12-18;weekend-18-24",
    ),
    Feature(
        "marketing-drafts",
        BUSINESS,
        {US: 96.0, EUROPE: 96.0, APAC: 48.0, SOUTH_AMERICA: 48.0},
        [Lengths("all", 1.0, 500, 700)],
        0.9,
        {"rag": 0.10, "fine-tune": 0.25},
        [("qwen3-30b-a3b", ALL), ("qwen3-32b", ("base",)), ("claude-haiku-4-5", ("base",))],
        {"task_class": "style", "expected_ttft_s": 1.5, "consumption_tokens_per_s": 8,
         "ttft_target_s": 4.0, "tpot_target_s": 0.08, "quality_min": 0.72,
         "corpus_tokens": 8_000_000, "training_tokens": 4_000_000, "rag_chunks": 3,
         "qoe_weight": 2.0},
    ),
]  # fmt: skip

OWN_SITE = "own:frankfurt"

REFERENCE_TABLES: dict[str, list[Cells]] = {
    "regions": [
        *named(
            "region",
            ["aws:us-east-1", "aws:eu-central-1", "aws:eu-north-1", "aws:ap-northeast-1",
             "aws:sa-east-1", "gcp:us-central1", "gcp:europe-west4", "gcp:asia-southeast1",
             "azure:eastus2", "azure:swedencentral", "azure:francecentral",
             "azure:brazilsouth"],
        ),
        {"region": OWN_SITE, "kind": "own", "lat": 50.11, "lon": 8.68, "residency": "eu;eea;de",
         "carbon_gco2e_per_kwh": 338.0, "pue": 1.4, "site_wue_l_per_kwh": 0.3},
    ],
    "accelerators": named(
        "accelerator",
        ["l4", "a10g", "l40s", "a100-80gb", "h100-sxm", "h200-sxm", "mi300x", "b200-sxm"],
    ),
    "llms": [
        {"llm": "llama-3.1-8b", "precisions": "fp8;bf16", "max_accelerators_per_replica": 1},
        {"llm": "qwen3-30b-a3b", "precisions": "fp8", "max_accelerators_per_replica": 2},
        {"llm": "qwen3-32b", "precisions": "fp8", "max_accelerators_per_replica": 2},
        {"llm": "gpt-oss-120b", "precisions": "mxfp4", "max_accelerators_per_replica": 2},
        {"llm": "llama-3.3-70b", "precisions": "fp8", "max_accelerators_per_replica": 4},
    ],
    "apis": [
        {"llm": "claude-haiku-4-5", "provider": "anthropic", "ttft_s": 0.7, "tpot_s": 0.009,
         "ttft_p95_over_mean": 2.2, "gco2e_per_ktok": 0.15},
    ],
    "quotas": [
        {"region": "aws:us-east-1", "accelerator": "h100-sxm", "accelerators": 1536},
        {"region": "aws:us-east-1", "accelerator": "h200-sxm", "accelerators": 768},
        {"region": "aws:us-east-1", "accelerator": "b200-sxm", "accelerators": 384},
        {"region": "aws:us-east-1", "accelerator": "l40s", "market": "spot", "accelerators": 576},
        {"region": "aws:eu-north-1", "accelerator": "h100-sxm", "accelerators": 768},
        {"region": "aws:eu-north-1", "accelerator": "l40s", "accelerators": 1152},
        {"region": "aws:ap-northeast-1", "accelerator": "h100-sxm", "accelerators": 768},
        {"region": "aws:sa-east-1", "accelerator": "h100-sxm", "accelerators": 384},
        {"region": "gcp:us-central1", "accelerator": "h100-sxm", "accelerators": 768},
        {"region": "gcp:us-central1", "accelerator": "l4", "accelerators": 1536},
        {"region": "gcp:europe-west4", "accelerator": "l4", "accelerators": 1536},
        {"region": "gcp:asia-southeast1", "accelerator": "l4", "accelerators": 1152},
        {"region": "azure:eastus2", "accelerator": "mi300x", "accelerators": 288},
        {"region": "azure:francecentral", "accelerator": "mi300x", "accelerators": 192},
        {"region": "azure:swedencentral", "accelerator": "mi300x", "accelerators": 192},
        {"region": "azure:brazilsouth", "accelerator": "mi300x", "accelerators": 96},
    ],
    "owned": [
        {"region": OWN_SITE, "offer": "own-h100-8", "market": "owned", "instances": 6,
         "usd_per_h": 26.0, "accelerator": "h100-sxm", "accelerators": 8},
        {"region": "aws:us-east-1", "offer": "aws_g6e.12xlarge", "market": "commit-1y",
         "instances": 16, "usd_per_h": 6.61036, "end_date": "2027-03-31"},
    ],
}  # fmt: skip


def write_reference(catalog: Catalog, folder: Path) -> None:
    blocks = week_blocks(728.0, 4, month=9)
    write_instance(
        folder,
        REFERENCE_SETTINGS,
        {**tables(catalog, REFERENCE_FEATURES, blocks, ORIGINS), **REFERENCE_TABLES},
    )
    write_history(catalog, folder / "history")


# ------------------------------------------------------------------ history

HISTORY_FROM = "2024-01-01"
HISTORY_COLUMNS = ("date", "region", "offer", "accelerator", "accelerators", "ondemand_usd_per_h",
                   "spot_usd_per_h", "commit_1y_usd_per_h", "commit_3y_usd_per_h")  # fmt: skip
DAILY_RATE = {
    CHAT: (0.823, 0.780, 0.951, 0.962, 0.852, 0.954, 0.896,
           0.982, 1.020, 1.245, 1.226, 1.232, 1.031, 1.085),
    BUSINESS: (1.426, 1.068, 1.027, 0.895, 1.057, 0.926, 1.091,
               1.234, 1.179, 0.985, 0.682, 0.645, 0.536, 1.248),
    STEADY: (0.715, 0.661, 0.743, 0.865, 0.885, 1.271, 1.024,
             1.162, 1.004, 0.852, 1.013, 1.310, 1.407, 1.107),
}  # fmt: skip
"""Mean rate of each of the 14 days of a trace over that of the whole trace (alibaba/ServeGen at
f891d1189eb3, means of its 10-minute windows); the catalog keeps the hours of the day only."""


def write_history(catalog: Catalog, folder: Path) -> None:
    """Monthly list prices of the reference's GCP machines; demand of the traces by day and week."""
    regions = {str(row["region"]) for row in REFERENCE_TABLES["regions"]}
    accelerators = {str(row["accelerator"]) for row in REFERENCE_TABLES["accelerators"]}
    prices = catalog.price_history
    prices = prices[
        prices["region"].isin({region for region in regions if region.startswith("gcp:")})
        & prices["accelerator"].isin(accelerators)
        & (prices["date"] >= HISTORY_FROM)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    prices[list(HISTORY_COLUMNS)].sort_values(["date", "region", "offer"]).to_csv(
        folder / "prices.csv", index=False, float_format="%.10g", lineterminator="\n"
    )
    lines = ["workload,week,day,day_factor,week_factor"]
    for feature in REFERENCE_FEATURES:
        daily = DAILY_RATE[feature.shape]
        for day, factor in enumerate(daily):
            week = daily[day // 7 * 7 : day // 7 * 7 + 7]
            lines.append(
                f"{feature.name},{day // 7 + 1},{day + 1},{factor:g},{sum(week) / 7.0:.4g}"
            )
    (folder / "demand_history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        raise SystemExit(__doc__)
    root = Path(arguments[0]) if arguments else INSTANCES
    catalog = load_catalog()
    write_tiny(catalog, root / "tiny")
    write_small(catalog, root / "small")
    write_reference(catalog, root / "reference")


if __name__ == "__main__":
    main(sys.argv[1:])
