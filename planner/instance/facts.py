"""Facts: what instance and catalog say together, every figure with its unit, nothing decided yet.

`planner.instance.resolve.resolve` makes them; candidates and the independent checker read them.
The order of every tuple is the instance's: machines by region, then accelerator, then offer;
variants by workload. `provenance` says where a row comes from: ``catalog (source, date)``,
``user``, or ``catalog (...) with user's columns``; `sources` says it figure by figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.calibration import Calibration
from planner.instance.grid import Grid
from planner.instance.schema import Instance

Sources = tuple[tuple[str, str], ...]
"""(figure, ``user`` or ``changed`` or ``assumed``) of a row's figures that are not the catalog's"""


def source_of(row: RegionFacts | AcceleratorFacts | MachineFacts | ApiFacts, *figures: str) -> str:
    """How figures of a row are known: ``catalog``, or of those that are not, the last word said."""
    given = dict(row.sources)
    found = {given.get(figure, "catalog") for figure in figures}
    return next(kind for kind in ("changed", "user", "assumed", "catalog") if kind in found)


@dataclass(frozen=True)
class RegionFacts:
    """An allowed region."""

    region: str
    kind: str
    """``cloud``, ``own`` or ``edge``"""
    provider: str
    """the catalog's provider; ``own`` for sites that are not in the catalog"""
    lat: float
    """degrees north"""
    lon: float
    """degrees east"""
    residency: frozenset[str]
    """tags a workload may ask for, e.g. ``eu``, ``DE``"""
    pue: float
    """facility energy over IT energy"""
    site_wue_l_per_kwh: float
    """water used on site per IT kWh"""
    electricity_water_l_per_kwh: float
    """water used by the power plants per kWh"""
    carbon_kgco2e_per_kwh: tuple[float, ...]
    """one per instance slice, in order"""
    fixed_usd: float
    """for the period, if the region is in use"""
    provenance: str
    sources: Sources = ()


@dataclass(frozen=True)
class AcceleratorFacts:
    """An allowed accelerator type; rates are dense peaks of one accelerator."""

    accelerator: str
    vendor: str
    family: str
    memory_gb: float
    memory_bandwidth_gb_per_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    """None: not supported"""
    fp4_tflops: float | None
    """None: not supported"""
    interconnect_gb_per_s: float
    linked_accelerators: int | None
    """as many as the interconnect joins all to all; None: all of an instance"""
    beyond_gb_per_s: float | None
    """of the link between more of them"""
    tdp_w: float
    idle_w: float
    embodied_kgco2e: float
    """low, mid or high case of the settings; the host server comes on top"""
    provenance: str
    sources: Sources = ()


@dataclass(frozen=True)
class MachineFacts:
    """An offer in a region: prices of one whole instance; None: not on sale in that market."""

    machine: str
    """``region/offer``"""
    region: str
    offer: str
    accelerator: str
    accelerators: int
    """in one instance"""
    ondemand_usd_per_h: float | None
    spot_usd_per_h: float | None
    commit_1y_usd_per_h: float | None
    commit_3y_usd_per_h: float | None
    spot_interruption_per_month: float | None
    """share of spot instances reclaimed in a month, where known"""
    vcpus: float
    """of one instance: its power and making follow them and the memory"""
    ram_gb: float
    """of one instance, beside the memory of its accelerators"""
    max_instances: int | None
    fixed_instances: int
    """owned or committed, held whether used or not; the most of any slice"""
    fixed_by_slice: tuple[int, ...]
    """the same for every slice, in order: less where a commitment ends within the period"""
    fixed_by_market: tuple[tuple[str, tuple[int, ...]], ...]
    """the same by market of ``owned.csv``"""
    fixed_usd_per_h: float
    """for all of them together, sum over the rows of ``owned.csv``; the mean over the period"""
    price_date: str
    provenance: str
    sources: Sources = ()


@dataclass(frozen=True)
class LlmFacts:
    """An allowed language model; a dense llm has no experts and `params_expert_b` 0."""

    llm: str
    params_total_b: float
    params_active_b: float
    """billions used per token"""
    params_dense_b: float
    """billions that run for every token"""
    params_expert_b: float
    """billions in all routed experts"""
    experts: int | None
    """routed experts per layer"""
    experts_per_token: int | None
    layers: int
    hidden_size: int
    kv_bytes_per_token_bf16: float
    """of the layers that keep the whole context"""
    kv_window_share: float
    """the same of the layers with a sliding window, over it; 0 without such layers"""
    kv_window_tokens: float
    context_tokens: int
    precisions: tuple[str, ...]
    """allowed ones, in the user's order"""
    max_accelerators_per_replica: int
    shared_experts: int | None
    moe_layers: int | None
    attention_heads: int | None
    kv_heads: int | None
    head_dim: int | None
    attention: str
    """``gqa``, ``mha``, ``mla`` ...; empty where the catalog does not say"""
    provenance: str
    precisions_given: bool = True
    """False: the first one for which an accelerator has the arithmetic, nobody asked for others"""


@dataclass(frozen=True)
class ApiFacts:
    """A hosted llm bought by the token, with its measured speed and carbon."""

    llm: str
    provider: str
    region: str
    """a region id, or ``api:provider``"""
    ttft_s: float
    """mean"""
    tpot_s: float
    """mean"""
    ttft_p95_over_mean: float
    gco2e_per_ktok: float
    water_l_per_ktok: float
    input_usd_per_mtok: float
    cached_input_usd_per_mtok: float
    output_usd_per_mtok: float
    provenance: str
    sources: Sources = ()
    peak_factor: float = 1.0
    """price in the peak hours over the price in all others"""
    peak_hours_utc: str | None = None
    """``1-4;6-10``"""


@dataclass(frozen=True)
class VariantFacts:
    """One way of answering a workload."""

    variant: str
    """``workload/llm/adaptation[/full][/30d][+check_llm]``, unique"""
    workload: str
    llm: str
    adaptation: str
    method: str | None
    """``lora`` or ``full``; None without a fine-tune"""
    refresh_days: float | None
    """of the fine-tune, else of the index; None for base"""
    check_llm: str | None
    """the larger llm of a hybrid"""
    check_share: float
    """share of the requests it answers too"""
    hosted: bool
    """the llm is bought by the token"""
    quality: float
    """in [0, 1], before staleness, of the answering llm (see `check_quality` for a hybrid)"""
    quality_sd: float
    provenance: str
    """``user``: measured by the user; ``prior``: base plus the published gain"""
    check_quality: float | None = None
    """quality of the checking llm's own base answer, before staleness"""
    check_hosted: bool = False
    base_age_days: tuple[float, float] = (365.0, 395.0)
    """age of what the llm's own weights know, when the period begins and ends"""
    check_age_days: tuple[float, float] = (365.0, 395.0)
    """the same of the checking llm"""


@dataclass(frozen=True)
class Prices:
    """What is bought beside accelerators; one figure for every region."""

    egress_usd_per_gb: float
    """of answers sent to the internet, per 1e9 bytes; what comes in is free"""
    copy_usd_per_gb: float
    """of copies sent between regions, per 1e9 bytes"""
    vector_ram_usd_per_gb_h: float
    vector_query_usd: float
    embedding_usd_per_mtok: float
    rerank_usd_per_query: float
    storage_usd_per_gb_month: float
    staff_usd_per_h: float
    provenance: str


@dataclass(frozen=True)
class Facts:
    """All joins of an instance and the catalog."""

    instance: Instance
    regions: tuple[RegionFacts, ...]
    accelerators: tuple[AcceleratorFacts, ...]
    machines: tuple[MachineFacts, ...]
    llms: tuple[LlmFacts, ...]
    apis: tuple[ApiFacts, ...]
    variants: tuple[VariantFacts, ...]
    prices: Prices
    round_trip_s: Mapping[tuple[str, str], float]
    """(origin, region): network round trip; an ``api:provider`` region has 0 (in its TTFT)"""
    retrieval_latency_s: float
    """embedding the question plus the search"""
    rerank_latency_s: float
    """added where a workload reranks"""
    ages: Mapping[str, str]
    """table: oldest to newest date of the catalog rows used"""
    assumptions: tuple[str, ...]
    """sentences for the reader: what was assumed because nobody said otherwise"""
    calibration: Calibration | None = None
    """the user's own measurements of speeds"""
    grid: Grid | None = None
    """lanes and operating points of a plan made for these facts; None: the default ones
    (`planner.instance.grid`)"""
