"""The instance format: what a user writes, one pydantic class per table, units in the names.

A folder holds ``instance.toml`` (class `Settings`) and CSV tables (one row class each).
Blank cells mean "use the default" or, for catalog facts, "use the catalog's figure".
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+\-]*$", max_length=80)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]

Adaptation = Literal["base", "rag", "fine-tune", "rag+fine-tune"]
TuneMethod = Literal["lora", "full"]
Market = Literal["on-demand", "spot", "commit-1y", "commit-3y", "owned"]
Precision = Literal["bf16", "fp8", "int4", "mxfp4"]


class Row(BaseModel):
    """Base of every table row: immutable, no unknown columns."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ------------------------------------------------------------------ instance.toml


class Period(Row):
    """The planning period; its slices are representative and their hours add up to `hours`."""

    start: dt.date
    hours: Positive = 730.0


class Money(Row):
    """Currency and money year of every price in the folder."""

    currency: Literal["USD"] = "USD"
    year: int = Field(default=2026, ge=2015, le=2100)
    staff_usd_per_h: NonNegative = 120.0


class Carbon(Row):
    """How carbon is counted (science.md 5)."""

    accounting: Literal["location", "market", "marginal"] = "location"
    embodied: Literal["low", "mid", "high"] = "mid"
    accelerator_life_years: Positive = 6.0
    host_embodied_kgco2e_per_accelerator: NonNegative = 300.0
    host_w_per_accelerator: NonNegative = 150.0


class Serving(Row):
    """Operating points and safety of the capacity law (science.md 3.2)."""

    operating_tpot_s: tuple[Positive, ...] = (0.02, 0.04, 0.08)
    prefill_load_max: Annotated[float, Field(gt=0.0, le=0.9)] = 0.6
    load_max: Annotated[float, Field(gt=0.0, le=0.9)] = 0.8
    derate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    prompt_lane_tokens: tuple[Positive, ...] = (4096.0, 32768.0)
    engine: str = "vllm"
    lora_overhead: Annotated[float, Field(ge=1.0, le=2.0)] = 1.1
    performance_margin: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Policy(Row):
    """Rules of the organisation; a missing value means no such rule."""

    spot_share_max: Share = 0.0
    spot_availability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    commitments: tuple[Literal["commit-1y", "commit-3y"], ...] = ("commit-1y", "commit-3y")
    region_loss_share: Share = 0.0
    attainment_min: Share = 0.9
    max_llms: int | None = Field(default=None, ge=1)
    max_regions: int | None = Field(default=None, ge=1)
    allow_shortfall: bool = False
    shortfall_usd_per_request: NonNegative = 1.0
    max_changed_workloads: int | None = Field(default=None, ge=0)
    max_added_accelerators: int | None = Field(default=None, ge=0)
    change_usd_per_workload: NonNegative = 0.0
    change_usd_per_accelerator: NonNegative = 0.0


class Caps(Row):
    """Limits on the totals of the period; a missing value means no limit."""

    cost_usd: Positive | None = None
    carbon_kgco2e: Positive | None = None
    water_l: Positive | None = None
    qoe_min: Share | None = None


class Settings(Row):
    """``instance.toml``."""

    format_version: Literal[1] = 1
    name: Identifier
    description: str = ""
    minimize: Literal["cost", "carbon", "qoe-loss"] = "cost"
    incumbent: str | None = None
    period: Period
    money: Money = Money()
    carbon: Carbon = Carbon()
    serving: Serving = Serving()
    policy: Policy = Policy()
    caps: Caps = Caps()


# ------------------------------------------------------------------ tables


class Workload(Row):
    """``workloads.csv``: a product feature."""

    workload: Identifier
    task_class: str = "general"
    kind: Literal["interactive", "batch"] = "interactive"
    expected_ttft_s: Positive = 1.0
    consumption_tokens_per_s: Positive = 5.0
    ttft_target_s: Positive | None = None
    tpot_target_s: Positive | None = None
    attainment_min: Share | None = None
    quality_min: Share = 0.0
    qoe_min: Share = 0.0
    quality_exponent: NonNegative = 1.0
    streaming_exponent: NonNegative = 1.0
    qoe_weight: Positive = 1.0
    facts_change_per_day: NonNegative = 0.0
    affected_share: Share = 0.0
    residency: str | None = None
    region_loss_share: Share | None = None
    min_regions: int = Field(default=1, ge=1)
    corpus_tokens: NonNegative = 0.0
    rag_chunks: NonNegative = 5.0
    rag_chunk_tokens: Positive = 400.0
    rag_cached_share: Share = 0.0
    reranked_documents: NonNegative = 0.0
    training_tokens: NonNegative = 0.0
    training_epochs: Positive = 3.0
    staff_h_per_refresh: NonNegative = 40.0


class LengthClass(Row):
    """``length_classes.csv``: the prompt and answer lengths of a share of a workload."""

    workload: Identifier
    length_class: Identifier = "all"
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    input_tokens: Positive
    output_tokens: Positive
    output_cv: NonNegative = 1.0
    cached_share: Share = 0.0


class Slice(Row):
    """``slices.csv``: a representative part of the period, hours of day in UTC."""

    slice: Identifier
    hours: Positive
    month: int = Field(ge=1, le=12)
    start_hour_utc: int = Field(default=0, ge=0, le=23)
    end_hour_utc: int = Field(default=24, ge=1, le=24)


class Origin(Row):
    """``origins.csv``: where users sit; `region` borrows a catalog region's place."""

    origin: Identifier
    region: Identifier | None = None
    lat: float | None = Field(default=None, ge=-90.0, le=90.0)
    lon: float | None = Field(default=None, ge=-180.0, le=180.0)


class Demand(Row):
    """``demand.csv``: mean rate in a slice; a batch workload leaves `slice` blank.

    A blank slice means: this mean rate over the whole period, to be served in any of
    `allowed_slices` (separated by ``;``, blank: all).
    """

    workload: Identifier
    origin: Identifier
    slice: Identifier | None = None
    requests_per_s: NonNegative
    allowed_slices: str | None = None


class Region(Row):
    """``regions.csv``: allowed regions; figures given here override the catalog's.

    An own or edge site (`kind`) is not in the catalog and gives its place and figures.
    """

    region: Identifier
    kind: Literal["cloud", "own", "edge"] = "cloud"
    lat: float | None = Field(default=None, ge=-90.0, le=90.0)
    lon: float | None = Field(default=None, ge=-180.0, le=180.0)
    residency: str | None = None
    carbon_gco2e_per_kwh: NonNegative | None = None
    pue: Annotated[float, Field(ge=1.0, le=3.0)] | None = None
    site_wue_l_per_kwh: NonNegative | None = None
    fixed_usd_per_month: NonNegative = 0.0


class Accelerator(Row):
    """``accelerators.csv``: allowed accelerator types; figures override the catalog's."""

    accelerator: Identifier
    memory_gb: Positive | None = None
    tdp_w: Positive | None = None
    idle_w: Positive | None = None
    embodied_kgco2e: NonNegative | None = None


class Offer(Row):
    """``offers.csv`` (optional): prices that replace or add to the catalog's offers."""

    region: Identifier
    offer: Identifier
    accelerator: Identifier
    accelerators: int = Field(ge=1, le=1024)
    ondemand_usd_per_h: Positive | None = None
    spot_usd_per_h: Positive | None = None
    commit_1y_usd_per_h: Positive | None = None
    commit_3y_usd_per_h: Positive | None = None
    max_instances: int | None = Field(default=None, ge=0)
    price_date: dt.date | None = None


class Llm(Row):
    """``llms.csv``: allowed language models and the precisions they may be served in."""

    llm: Identifier
    precisions: str = "fp8"
    max_accelerators_per_replica: int = Field(default=8, ge=1, le=64)


class HostedApi(Row):
    """``apis.csv`` (optional): hosted llms bought by the token; speed and carbon as measured."""

    llm: Identifier
    provider: str
    region: Identifier | None = None
    ttft_s: Positive
    tpot_s: Positive
    ttft_p95_over_mean: Annotated[float, Field(ge=1.0)] = 2.0
    gco2e_per_ktok: NonNegative
    input_usd_per_mtok: NonNegative | None = None
    cached_input_usd_per_mtok: NonNegative | None = None
    output_usd_per_mtok: NonNegative | None = None


class Variant(Row):
    """``variants.csv`` (optional): the ways a workload may be answered; ``*`` means all workloads.

    Without the table: every allowed llm with base and, where a corpus or training tokens are
    given, rag, LoRA fine-tune and both, at 30 days' refresh. `check_llm` makes a hybrid: the
    small llm answers, `check_share` of the requests is also answered by the larger one.
    """

    workload: str
    llm: Identifier
    adaptation: Adaptation = "base"
    method: TuneMethod = "lora"
    refresh_days: Positive | None = None
    check_llm: Identifier | None = None
    check_share: Share = 0.0


class Quality(Row):
    """``quality.csv``: answer quality in [0, 1] before staleness; base is required per llm.

    Missing adaptations take the catalog's prior gain for the task class (provenance `prior`).
    """

    workload: str
    llm: Identifier
    adaptation: Adaptation = "base"
    quality: Share
    quality_sd: Share = 0.02


class Quota(Row):
    """``quotas.csv`` (optional): most accelerators held at once; blank market: all together."""

    region: Identifier
    accelerator: Identifier
    market: Literal["on-demand", "spot", "commit-1y", "commit-3y"] | None = None
    accelerators: NonNegative


class Owned(Row):
    """``owned.csv`` (optional): machines already owned or committed, paid whether used or not."""

    region: Identifier
    offer: Identifier
    market: Literal["owned", "commit-1y", "commit-3y"] = "owned"
    instances: int = Field(ge=0)
    usd_per_h: NonNegative
    accelerator: Identifier | None = None
    accelerators: int | None = Field(default=None, ge=1)
    end_date: dt.date | None = None


class Override(Row):
    """``overrides.csv`` (optional): any catalog figure, by table, row id and column."""

    table: str
    id: str
    column: str
    value: str
    reason: str


TABLES: dict[str, tuple[type[Row], bool]] = {
    "workloads": (Workload, True),
    "length_classes": (LengthClass, True),
    "slices": (Slice, True),
    "origins": (Origin, True),
    "demand": (Demand, True),
    "regions": (Region, True),
    "accelerators": (Accelerator, True),
    "llms": (Llm, True),
    "quality": (Quality, True),
    "offers": (Offer, False),
    "apis": (HostedApi, False),
    "variants": (Variant, False),
    "quotas": (Quota, False),
    "owned": (Owned, False),
    "overrides": (Override, False),
}
"""Table name -> (row class, required)."""


class Instance(Row):
    """A validated instance folder: the user's words, nothing resolved yet."""

    settings: Settings
    workloads: tuple[Workload, ...]
    length_classes: tuple[LengthClass, ...]
    slices: tuple[Slice, ...]
    origins: tuple[Origin, ...]
    demand: tuple[Demand, ...]
    regions: tuple[Region, ...]
    accelerators: tuple[Accelerator, ...]
    llms: tuple[Llm, ...]
    quality: tuple[Quality, ...]
    offers: tuple[Offer, ...] = ()
    apis: tuple[HostedApi, ...] = ()
    variants: tuple[Variant, ...] = ()
    quotas: tuple[Quota, ...] = ()
    owned: tuple[Owned, ...] = ()
    overrides: tuple[Override, ...] = ()
    sha256: str
    folder: str
