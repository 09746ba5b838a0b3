"""The instance format: what a user writes, one pydantic class per table, units in the names.

A folder holds ``instance.toml`` (class `Settings`) and CSV tables (one row class each).
Blank cells mean "use the default" or, for catalog facts, "use the catalog's figure".
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

SETTINGS_FILE = "instance.toml"

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+\-]*$", max_length=80)]
_HOUR = r"(?:[01]?\d(?:\.\d+)?|2[0-3](?:\.\d+)?|24)"
HoursOfDay = Annotated[str, Field(pattern=rf"^{_HOUR}-{_HOUR}(?:;{_HOUR}-{_HOUR})*$")]
"""Windows of the day in UTC, ``1-4;6-10``; ``22-6`` goes over midnight."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]

Adaptation = Literal["base", "rag", "fine-tune", "rag+fine-tune"]
TuneMethod = Literal["lora", "full"]
Market = Literal["on-demand", "spot", "commit-1y", "commit-3y", "owned"]
Precision = Literal["bf16", "fp8", "int4", "mxfp4"]


class Row(BaseModel):
    """Base of every table row: immutable, no unknown columns."""

    lets_others_stand: ClassVar[bool] = False
    """whether columns of somebody else's may stand in the table, unread"""
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ------------------------------------------------------------------ instance.toml


class Period(Row):
    """The planning period; its slices are representative and their hours add up to `hours`."""

    start: dt.date
    """first day of the period"""
    hours: Positive = 730.0
    """length of the period; 730 is a month"""


class Money(Row):
    """Currency and money year of every price in the folder."""

    currency: Literal["USD"] = "USD"
    """currency of every price: US dollars only"""
    year: int = Field(default=2026, ge=2015, le=2100)
    """money year of every price"""
    staff_usd_per_h: NonNegative = 120.0
    """cost of an hour of the people who prepare, evaluate and release a fine-tune"""


class Carbon(Row):
    """How carbon is counted."""

    accounting: Literal["location", "market", "marginal"] = "location"
    """meaning of the grid figures; the catalog's are location-based"""
    embodied: Literal["low", "mid", "high"] = "mid"
    """which published figure of making an accelerator to use"""
    accelerator_life_years: Positive = 6.0
    """years over which making an accelerator is spread"""
    host_embodied_kgco2e_per_accelerator: NonNegative | None = None
    """making of the host server, per accelerator in it; missing: by its vCPUs and memory"""
    host_w_per_accelerator: NonNegative | None = None
    """power of the host server, per accelerator in it; missing: by its vCPUs and memory"""


class Serving(Row):
    """Operating points and safety of the capacity law."""

    operating_tpot_s: tuple[Positive, ...] | None = None
    """mean times per output token at which replicas may be run, these only; missing: those that
    targets and readers ask for, refined around the plan"""
    prefill_load_max: Annotated[float, Field(gt=0.0, le=0.9)] = 0.6
    """most of a replica's time that prompts may take"""
    load_max: Annotated[float, Field(gt=0.0, le=0.9)] = 0.8
    """most of a replica's capacity that may be used"""
    derate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """share of the computed capacity that is believed"""
    prompt_lane_tokens: tuple[Positive, ...] | None = None
    """longest prompt of each class of replicas, ascending, these only; missing: those of the
    length classes, refined around the plan"""
    engine: str = "vllm"
    """serving engine"""
    kv_cache_bits: Literal[8, 16] = 16
    """precision of the KV cache; 8 holds twice as much, mind the quality"""
    calibration: str | None = None
    """file in this folder that `planner calibrate` wrote: the user's own measurements correct the
    speeds of the combinations measured"""
    lora_overhead: Annotated[float, Field(ge=1.0, le=2.0)] = 1.1
    """work with LoRA adapters over work without"""
    performance_margin: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """extra load that every replica must be able to take"""


class Policy(Row):
    """Rules of the organisation; a missing value means no such rule."""

    spot_share_max: Share = 0.0
    """most of the accelerators of a region and type that may be spot"""
    spot_availability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """share of spot machines that is there when needed"""
    commitments: tuple[Literal["commit-1y", "commit-3y"], ...] | None = None
    """commitments that may be bought, whatever the length of the period; missing: those whose term
    is no longer than the period"""
    region_loss_share: Share = 0.0
    """share of every interactive workload's demand that must survive the loss of any one region:
    none answers more than the rest of it (of n regions at most 1 - 1/n survives)"""
    attainment_min: Share = 0.9
    """least share of answers within both latency targets"""
    max_llms: int | None = Field(default=None, ge=1)
    """most llms in service"""
    max_regions: int | None = Field(default=None, ge=1)
    """most regions in use"""
    allow_shortfall: bool = False
    """whether demand may stay unserved, at a price"""
    shortfall_usd_per_request: NonNegative = 1.0
    """price of an unserved request"""
    max_changed_workloads: int | None = Field(default=None, ge=0)
    """most workloads whose variant may differ from the incumbent's"""
    max_added_accelerators: int | None = Field(default=None, ge=0)
    """most accelerators above the incumbent's"""
    change_usd_per_workload: NonNegative = 0.0
    """cost of changing a workload's variant, beside the people's time in [migration]"""
    change_usd_per_accelerator: NonNegative = 0.0
    """cost of an accelerator above the incumbent's, beside its hours in [migration]"""
    keep_incumbent: bool = False
    """keep what the incumbent decided: its variants, machines and copies, and no new commitment;
    how many are rented, replicas and routing stay free"""


class Migration(Row):
    """What it costs to change from the incumbent to another plan; without one, what a new fleet has
    to make once: first fine-tunes, indexes and their copies."""

    horizon_h: Positive = 2190.0
    """hours for which a new plan is expected to run (a quarter); the costs of a change are spread
    over them, or over the period where that is longer"""
    engineering_h_per_workload: NonNegative = 24.0
    """people's time to evaluate and release another variant of a workload (assumption: three days
    of one person)"""
    boot_h: NonNegative = 0.25
    """hours from asking for a machine until its engine starts to load (assumption)"""
    load_gb_per_s: Positive = 1.0
    """rate at which one instance fills the memory of its accelerators with weights (assumption:
    object storage over 10 Gbit/s)"""
    overlap_h: NonNegative = 1.0
    """hours that a new machine serves beside the one it replaces, until that is drained
    (assumption)"""
    network_kwh_per_gb: NonNegative = 0.006
    """energy of sending data between regions (assumption, published figures differ tenfold)"""


class Replan(Row):
    """When a change of the running plan is worth it (``planner replan``)."""

    margin: Share = 0.01
    """least certain gain, as a share of what the running plan costs"""
    switching_factor: Annotated[float, Field(ge=1.0)] = 1.5
    """how many times the costs of the change the gain over migration.horizon_h must reach"""
    confirmations: int = Field(default=2, ge=1)
    """checks in a row that must find the gain before a change is proposed"""


class Caps(Row):
    """Limits on the totals of the period; a missing value means no limit."""

    cost_usd: Positive | None = None
    """most cost of the period"""
    carbon_kgco2e: Positive | None = None
    """most carbon of the period"""
    water_l: Positive | None = None
    """most water of the period"""
    qoe_min: Share | None = None
    """least mean quality of experience"""


class Settings(Row):
    """``instance.toml``."""

    format_version: Literal[1] = 1
    """version of this format"""
    name: Identifier
    """name of the instance"""
    description: str = ""
    """for people"""
    minimize: Literal["cost", "carbon", "qoe-loss"] = "cost"
    """what to minimise unless the command says otherwise"""
    accept: tuple[str, ...] = ()
    """findings that are meant although they look wrong, by the names that `planner validate` gives
    them; * stands for any characters"""
    incumbent: str | None = None
    """what runs today: path of a run folder, a plan.json or a folder with fleet.csv and
    adoption.csv, relative to this folder"""
    period: Period
    """section"""
    money: Money = Money()
    """section"""
    carbon: Carbon = Carbon()
    """section"""
    serving: Serving = Serving()
    """section"""
    policy: Policy = Policy()
    """section"""
    caps: Caps = Caps()
    """section"""
    migration: Migration = Migration()
    """section"""
    replan: Replan = Replan()
    """section"""


# ------------------------------------------------------------------ tables


class Workload(Row):
    """``workloads.csv``: a product feature."""

    workload: Identifier
    """name"""
    task_class: str = "general"
    """which published adaptation gains apply where quality.csv is silent"""
    kind: Literal["interactive", "batch"] = "interactive"
    """batch demand may wait for any allowed slice"""
    expected_ttft_s: Positive = 1.0
    """wait for the first token that nobody notices"""
    consumption_tokens_per_s: Positive = 5.0
    """pace at which the answer is read or used"""
    ttft_target_s: Positive | None = None
    """target for the first token, network included; blank: none"""
    tpot_target_s: Positive | None = None
    """target for the time per output token; blank: none"""
    attainment_min: Share | None = None
    """least share of answers within both targets; blank: the policy's"""
    quality_min: Share = 0.0
    """least answer quality of a variant, staleness included"""
    qoe_min: Share = 0.0
    """least mean quality of experience of the workload"""
    quality_exponent: NonNegative = 1.0
    """weight of answer quality in the score; 0: none"""
    streaming_exponent: NonNegative = 1.0
    """weight of speed in the score; 0: none"""
    qoe_weight: Positive = 1.0
    """importance of a request in the mean over workloads"""
    facts_change_per_day: NonNegative = 0.0
    """rate at which a fact that answers depend on changes"""
    affected_share: Share = 0.0
    """share of requests that ask for changing facts"""
    residency: str | None = None
    """tag that a serving region must have, such as eu; blank: any region"""
    region_loss_share: Share | None = None
    """share of demand that must survive the loss of any one region; blank: the policy's; batch: no
    effect"""
    min_regions: int = Field(default=1, ge=1)
    """least number of regions that serve it"""
    corpus_tokens: NonNegative = 0.0
    """size of the documents that RAG searches; 0: no RAG"""
    rag_chunks: NonNegative = 5.0
    """chunks added to the prompt"""
    rag_chunk_tokens: Positive = 400.0
    """length of a chunk"""
    rag_cached_share: Share = 0.0
    """share of the added chunks found in the prefix cache"""
    reranked_documents: NonNegative = 0.0
    """documents reranked per request; 0: no reranking"""
    index_replicas: int = Field(default=2, ge=1)
    """copies of the index in memory in every region that serves with it, so that one may fail"""
    index_staff_h_per_month: NonNegative = 16.0
    """people's time to keep documents, access rights and retrieval right (assumption: a tenth of
    one person)"""
    training_tokens: NonNegative = 0.0
    """size of the training set of a fine-tune; 0: no fine-tune"""
    training_epochs: Positive = 3.0
    """passes over the training set"""
    staff_h_per_refresh: NonNegative = 40.0
    """people's time per fine-tune"""


class LengthClass(Row):
    """``length_classes.csv``: the prompt and answer lengths of a share of a workload."""

    workload: Identifier
    """a workload"""
    length_class: Identifier = "all"
    """name"""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """share of the workload's requests; they add up to 1"""
    input_tokens: Positive
    """mean prompt, without retrieved chunks"""
    output_tokens: Positive
    """mean answer"""
    output_cv: NonNegative = 1.0
    """standard deviation of the answer length over its mean"""
    cached_share: Share = 0.0
    """share of the prompt found in the prefix cache"""
    cached_shared_by: Annotated[float, Field(ge=1.0, le=10_000.0)] = 1.0
    """requests in flight that share one copy of the cached prefix (a system prompt); 1: each has
    its own (a conversation)"""


class Slice(Row):
    """``slices.csv``: a representative part of the period, hours of day in UTC."""

    slice: Identifier
    """name"""
    hours: Positive
    """hours of the period it stands for; they add up to the period's"""
    month: int = Field(ge=1, le=12)
    """month whose grid carbon it takes"""
    start_hour_utc: int = Field(default=0, ge=0, le=23)
    """first hour of the day"""
    end_hour_utc: int = Field(default=24, ge=1, le=24)
    """hour at which it ends; below the start: over midnight"""


class Origin(Row):
    """``origins.csv``: where users sit; `region` borrows a catalog region's place."""

    origin: Identifier
    """name"""
    region: Identifier | None = None
    """catalog or allowed region at whose place the users are"""
    lat: float | None = Field(default=None, ge=-90.0, le=90.0)
    """degrees north, instead of a region"""
    lon: float | None = Field(default=None, ge=-180.0, le=180.0)
    """degrees east, instead of a region"""


class Demand(Row):
    """``demand.csv``: mean rate in a slice; a batch workload leaves `slice` blank.

    A blank slice means: this mean rate over the whole period, to be served in any of
    `allowed_slices` (separated by ``;``, blank: all).
    """

    workload: Identifier
    """a workload"""
    origin: Identifier
    """an origin"""
    slice: Identifier | None = None
    """a slice; blank for batch"""
    requests_per_s: NonNegative
    """mean rate in the slice (batch: over the whole period); 0 where nobody asks"""
    allowed_slices: str | None = None
    """batch only: slices that may serve it, separated by ;; blank: all"""


class Region(Row):
    """``regions.csv``: allowed regions; figures given here override the catalog's.

    An own or edge site (`kind`) is not in the catalog and gives its place and figures.
    """

    region: Identifier
    """id in the catalog (provider:region), or the name of an own site"""
    kind: Literal["cloud", "own", "edge"] = "cloud"
    """own and edge sites may be missing from the catalog"""
    lat: float | None = Field(default=None, ge=-90.0, le=90.0)
    """degrees north"""
    lon: float | None = Field(default=None, ge=-180.0, le=180.0)
    """degrees east"""
    residency: str | None = None
    """tags, separated by ;"""
    carbon_gco2e_per_kwh: NonNegative | None = None
    """annual mean of the grid; the catalog's hourly shape is kept"""
    pue: Annotated[float, Field(ge=1.0, le=3.0)] | None = None
    """facility energy over IT energy"""
    site_wue_l_per_kwh: NonNegative | None = None
    """water used on site per IT energy"""
    fixed_usd_per_month: NonNegative = 0.0
    """cost of using the region at all"""


class Accelerator(Row):
    """``accelerators.csv``: allowed accelerator types; figures override the catalog's."""

    accelerator: Identifier
    """id in the catalog"""
    memory_gb: Positive | None = None
    """memory"""
    tdp_w: Positive | None = None
    """power limit"""
    idle_w: Positive | None = None
    """power when idle"""
    embodied_kgco2e: NonNegative | None = None
    """making of one, without its host"""


class Offer(Row):
    """``offers.csv`` (optional): prices that replace or add to the catalog's offers."""

    region: Identifier
    """an allowed region"""
    offer: Identifier
    """name; the catalog's name replaces its prices"""
    accelerator: Identifier
    """an allowed accelerator"""
    accelerators: int = Field(ge=1, le=1024)
    """number in one instance"""
    ondemand_usd_per_h: Positive | None = None
    """price of one whole instance"""
    spot_usd_per_h: Positive | None = None
    """price of one whole instance"""
    commit_1y_usd_per_h: Positive | None = None
    """price of one whole instance, committed for a year"""
    commit_3y_usd_per_h: Positive | None = None
    """price of one whole instance, committed for three years"""
    max_instances: int | None = Field(default=None, ge=0)
    """most instances to be had; blank: no limit"""
    price_date: dt.date | None = None
    """day of the prices"""
    vcpus: NonNegative | None = None
    """in one instance, for its power and making; blank: the catalog's, else the usual number beside
    the accelerator"""
    ram_gb: NonNegative | None = None
    """memory of one instance beside its accelerators', likewise"""


class Llm(Row):
    """``llms.csv``: allowed language models and the precisions they may be served in."""

    llm: Identifier
    """id in the catalog"""
    precisions: str | None = None
    """allowed precisions, separated by ;: bf16, fp8, int4, mxfp4; blank: fp8 on accelerators with
    its arithmetic, bf16 on others"""
    max_accelerators_per_replica: int = Field(default=8, ge=1, le=64)
    """most accelerators that one replica may span"""
    knowledge_cutoff: dt.date | None = None
    """last day of what it was trained on; blank: the catalog's, else a year before the period"""


class HostedApi(Row):
    """``apis.csv`` (optional): hosted llms bought by the token; speed and carbon as measured."""

    llm: Identifier
    """the provider's name of the llm"""
    provider: str
    """who sells it"""
    region: Identifier | None = None
    """allowed region where it runs; blank: unknown, the network is in ttft_s"""
    ttft_s: Positive
    """mean time to the first token"""
    tpot_s: Positive
    """mean time per output token"""
    ttft_p95_over_mean: Annotated[float, Field(ge=1.0)] = 2.0
    """95th percentile of the time to the first token over its mean"""
    gco2e_per_ktok: NonNegative
    """carbon per 1,000 tokens, prompt and answer"""
    water_l_per_ktok: NonNegative | None = None
    """water per 1,000 tokens, prompt and answer; blank: 8.4 l for every kgCO2e (3 to 39)"""
    input_usd_per_mtok: NonNegative | None = None
    """price of the prompt; blank: the catalog's"""
    cached_input_usd_per_mtok: NonNegative | None = None
    """price of cached prompt; blank: the catalog's, else the full price"""
    output_usd_per_mtok: NonNegative | None = None
    """price of the answer; blank: the catalog's"""
    knowledge_cutoff: dt.date | None = None
    """last day of what it was trained on; blank: a year before the period"""
    peak_hours_utc: HoursOfDay | None = None
    """hours of the day in which every token costs `peak_factor` times its price, such as 1-4;6-10;
    blank: the catalog's where the prices are its too, else none"""
    peak_factor: Positive | None = None
    """price in those hours over the price in all others"""


class Variant(Row):
    """``variants.csv`` (optional): the ways a workload may be answered; ``*`` means all workloads.

    Without the table: every allowed llm with base and, where a corpus or training tokens are
    given, rag, LoRA fine-tune and both, at 30 days' refresh. `check_llm` makes a hybrid: the
    small llm answers, `check_share` of the requests is also answered by the larger one.
    """

    workload: str
    """a workload, or * for all that have what the adaptation needs"""
    llm: Identifier
    """an llm of llms.csv or apis.csv"""
    adaptation: Adaptation = "base"
    """how the llm gets its knowledge"""
    method: TuneMethod = "lora"
    """how it is fine-tuned; full needs replicas of its own"""
    refresh_days: Positive | None = None
    """days between refreshes; blank: 30 for a fine-tune, 1 for an index (beside a fine-tune always
    1); every refresh is paid, in proportion where the interval is longer than the period"""
    check_llm: Identifier | None = None
    """larger llm that also answers a share of the requests"""
    check_share: Share = 0.0
    """share that the larger llm also answers"""


class Quality(Row):
    """``quality.csv``: answer quality in [0, 1] before staleness; base is required per llm.

    Missing adaptations take the catalog's prior gain for the task class (provenance `prior`).
    """

    workload: str
    """a workload, or * for all"""
    llm: Identifier
    """an llm of llms.csv or apis.csv"""
    adaptation: Adaptation = "base"
    """how the llm gets its knowledge"""
    quality: Share
    """answer quality by your own evaluation"""
    quality_sd: Share = 0.02
    """standard deviation of that figure"""


class Quota(Row):
    """``quotas.csv`` (optional): most accelerators held at once; blank market: all together."""

    region: Identifier
    """an allowed region"""
    accelerator: Identifier
    """an allowed accelerator"""
    market: Literal["on-demand", "spot", "commit-1y", "commit-3y"] | None = None
    """blank: all markets together"""
    accelerators: NonNegative
    """most accelerators held at once"""


class Owned(Row):
    """``owned.csv`` (optional): machines already owned or committed, paid whether used or not."""

    region: Identifier
    """an allowed region"""
    offer: Identifier
    """name of the machine; need not be in the catalog"""
    market: Literal["owned", "commit-1y", "commit-3y"] = "owned"
    """owned, or already committed"""
    instances: int = Field(ge=0)
    """number held all period"""
    usd_per_h: NonNegative
    """cost of one instance, used or not"""
    accelerator: Identifier | None = None
    """needed if the offer is neither in the catalog nor in offers.csv"""
    accelerators: int | None = Field(default=None, ge=1)
    """number in one instance; needed likewise"""
    vcpus: NonNegative | None = None
    """in one instance, for its power and making; blank: the catalog's, else the usual number beside
    the accelerator"""
    ram_gb: NonNegative | None = None
    """memory of one instance beside its accelerators', likewise"""
    end_date: dt.date | None = None
    """last day"""


class Override(Row):
    """``overrides.csv`` (optional): any catalog figure, by table, row id and column."""

    table: str
    """table of the catalog"""
    id: str
    """row: the columns of its key joined by /"""
    column: str
    """column"""
    value: str
    """figure to use, in the catalog's unit"""
    reason: str
    """why, for the report"""


class RunningMachines(Row):
    """``fleet.csv`` in the folder that ``incumbent`` names: machines that run today."""

    region: Identifier
    """an allowed region"""
    offer: Identifier
    """an offer of the catalog, of offers.csv or owned.csv"""
    market: Market = "on-demand"
    """how they are paid for"""
    instances: int = Field(ge=0)
    """number held"""
    slice: Identifier | None = None
    """part of the period in which they are held; blank: all of it"""
    usd_per_h: NonNegative | None = None
    """commitments: price of one instance; blank: today's"""
    end_date: dt.date | None = None
    """commitments: last day; blank: not within the period"""


class RunningVariant(Row):
    """``adoption.csv`` in the folder that ``incumbent`` names: how each workload is answered."""

    workload: Identifier
    """a workload"""
    llm: Identifier
    """the llm that answers"""
    adaptation: Adaptation = "base"
    """how the llm gets its knowledge"""
    method: TuneMethod | None = None
    """how it is fine-tuned; blank: any"""
    refresh_days: Positive | None = None
    """days between refreshes; blank: any"""
    check_llm: Identifier | None = None
    """larger llm that also answers a share of the requests"""


RUNNING: dict[str, type[Row]] = {"fleet": RunningMachines, "adoption": RunningVariant}
"""Tables of an incumbent that is not a plan: name -> row class."""

TABLES: dict[str, tuple[type[Row], bool]] = {
    "workloads": (Workload, True),
    "length_classes": (LengthClass, True),
    "slices": (Slice, True),
    "origins": (Origin, True),
    "demand": (Demand, True),
    "regions": (Region, False),
    "accelerators": (Accelerator, False),
    "llms": (Llm, False),
    "quality": (Quality, True),
    "offers": (Offer, False),
    "apis": (HostedApi, False),
    "variants": (Variant, False),
    "quotas": (Quota, False),
    "owned": (Owned, False),
    "overrides": (Override, False),
}
"""Table name -> (row class, required)."""

OWN_FLEET = ("regions", "accelerators", "llms")
"""Tables that are required unless every answer is bought (``apis.csv``)."""


class Instance(Row):
    """A validated instance folder: the user's words, nothing resolved yet."""

    settings: Settings
    workloads: tuple[Workload, ...]
    length_classes: tuple[LengthClass, ...]
    slices: tuple[Slice, ...]
    origins: tuple[Origin, ...]
    demand: tuple[Demand, ...]
    quality: tuple[Quality, ...]
    regions: tuple[Region, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    llms: tuple[Llm, ...] = ()
    offers: tuple[Offer, ...] = ()
    apis: tuple[HostedApi, ...] = ()
    variants: tuple[Variant, ...] = ()
    quotas: tuple[Quota, ...] = ()
    owned: tuple[Owned, ...] = ()
    overrides: tuple[Override, ...] = ()
    sha256: str
    folder: str
