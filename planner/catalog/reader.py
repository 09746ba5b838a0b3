"""Read the shipped tables lazily, look rows up by id, answer the few joins everybody needs.

Parsed tables are kept as binary files in the user's cache directory, named after the hash of
the table's bytes, so a changed table can never be answered from an old file. A cache that
cannot be read or written is ignored.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import CatalogError

if TYPE_CHECKING:
    from pandas import DataFrame

TABLES_FOLDER = Path(__file__).resolve().parent / "tables"
CACHE_FOLDER_VARIABLE = "PLANNER_CACHE"
EARTH_RADIUS_KM = 6371.0
HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12

KEYS: dict[str, tuple[str, ...]] = {
    "accelerators": ("accelerator",),
    "regions": ("region",),
    "grid_zones": ("grid_zone",),
    "offers": ("region", "offer"),
    "price_history": ("region", "offer", "date"),
    "carbon_profiles": ("zone", "year", "month", "hour_utc"),
    "latency": ("from_region", "to_region"),
    "llms": ("llm",),
    "llm_cutoffs": ("llm",),
    "api_offers": ("provider", "llm"),
    "api_peaks": ("provider", "llm"),
    "ancillary_defaults": ("name",),
    "retrieval_defaults": ("name",),
    "adaptation_priors": ("task_class", "adaptation"),
    "demand_shapes": ("shape", "day_type", "hour"),
    "length_classes": ("trace", "length_class"),
    "parameters": ("parameter",),
    "serving_points": ("point_id",),
}
"""Columns that identify a row, for the tables looked up by id."""

Row = dict[str, Any]
"""One row of a table: column -> value, None where the table is blank."""


@dataclass(frozen=True)
class CarbonProfile:
    """Grid carbon of a region: `gco2e_per_kwh[month - 1][hour_utc]`, annual mean preserved."""

    region: str
    gco2e_per_kwh: tuple[tuple[float, ...], ...]
    annual_mean_gco2e_per_kwh: float
    provenance: str


@dataclass(frozen=True)
class RoundTrip:
    """A network round trip in milliseconds and how it is known."""

    rtt_ms: float
    provenance: str


@dataclass(frozen=True)
class AdaptationPrior:
    """What an adaptation adds to answer quality on a 0-1 scale, from published figures.

    `headroom_share` restates the mean gain so that it can be carried to another base quality q:
    a positive one closes that share of 1 - q, a negative one loses that share of q.
    """

    task_class: str
    adaptation: str
    quality_gain_mean: float
    quality_gain_sd: float
    headroom_share: float
    provenance: str

    def apply(self, base_quality: float) -> float:
        """Quality in [0, 1] with the adaptation, for an llm whose base quality is given."""
        room = 1.0 - base_quality if self.headroom_share >= 0.0 else base_quality
        return base_quality + self.headroom_share * room


def cache_folder() -> Path:
    """Where parsed tables are kept: $PLANNER_CACHE, else the user's cache directory."""
    chosen = os.environ.get(CACHE_FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "fleet-planner"


@dataclass(frozen=True)
class Catalog:
    """The tables of one folder. Frames are shared: treat them as read-only."""

    folder: Path = TABLES_FOLDER

    # -------------------------------------------------------------- tables

    @cached_property
    def files(self) -> dict[str, Path]:
        """Table name -> file, in alphabetical order."""
        found = {
            path.name.split(".")[0]: path
            for path in sorted(self.folder.glob("*"))
            if path.name.endswith((".csv", ".csv.gz"))
        }
        if not found:
            raise CatalogError(f"no catalog tables in {self.folder}: reinstall the planner")
        return found

    @cached_property
    def sha256(self) -> str:
        """One hash over the names and bytes of all tables."""
        total = hashlib.sha256()
        for name, path in self.files.items():
            total.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def table(self, name: str) -> DataFrame:
        """A whole table. Raises CatalogError for an unknown name."""
        frames = self._frames
        if name not in frames:
            if name not in self.files:
                raise CatalogError(_unknown("catalog table", name, self.files))
            frames[name] = _read(self.files[name])
        return frames[name]

    def dates(self, name: str) -> tuple[str, str]:
        """Oldest and newest date of a table's rows, as written there."""
        dates = self.table(name)["date"].astype(str)
        return str(dates.min()), str(dates.max())

    @cached_property
    def _frames(self) -> dict[str, DataFrame]:
        return {}

    @cached_property
    def _cells(self) -> dict[str, dict[str, list[Any]]]:
        return {}

    @cached_property
    def _indexes(self) -> dict[str, dict[tuple[str, ...], int]]:
        return {}

    @property
    def accelerators(self) -> DataFrame:
        """Accelerator types."""
        return self.table("accelerators")

    @property
    def regions(self) -> DataFrame:
        """Cloud regions."""
        return self.table("regions")

    @property
    def offers(self) -> DataFrame:
        """Priced machines by region, newest snapshot."""
        return self.table("offers")

    @property
    def price_history(self) -> DataFrame:
        """Prices at earlier dates."""
        return self.table("price_history")

    @property
    def carbon_profiles(self) -> DataFrame:
        """Grid carbon by zone, month and hour of day."""
        return self.table("carbon_profiles")

    @property
    def latency(self) -> DataFrame:
        """Measured round trips between regions."""
        return self.table("latency")

    @property
    def llms(self) -> DataFrame:
        """Open llms."""
        return self.table("llms")

    @property
    def api_offers(self) -> DataFrame:
        """Hosted llms bought by the token."""
        return self.table("api_offers")

    @property
    def serving_points(self) -> DataFrame:
        """Measured serving points, cleaned."""
        return self.table("serving_points")

    @property
    def demand_shapes(self) -> DataFrame:
        """Relative demand by hour of day."""
        return self.table("demand_shapes")

    @property
    def length_classes(self) -> DataFrame:
        """Prompt and answer lengths of the traces."""
        return self.table("length_classes")

    # -------------------------------------------------------------- rows by id

    def row(self, table: str, *key: str) -> Row:
        """The row with this id; raises CatalogError naming the nearest ids if there is none."""
        at = self._index(table).get(key)
        if at is None:
            known = ["/".join(parts) for parts in self._index(table)]
            raise CatalogError(_unknown(f"{table} id", "/".join(key), known))
        return {column: _plain(cells[at]) for column, cells in self._columns(table).items()}

    def _columns(self, table: str) -> dict[str, list[Any]]:
        """The cells of a table as lists: picking a row of a frame costs many times more."""
        if table not in self._cells:
            frame = self.table(table)
            self._cells[table] = {column: frame[column].tolist() for column in frame.columns}
        return self._cells[table]

    def _index(self, table: str) -> dict[tuple[str, ...], int]:
        if table not in self._indexes:
            frame = self.table(table)
            columns = [frame[column].astype(str) for column in KEYS[table]]
            self._indexes[table] = {key: at for at, key in enumerate(zip(*columns, strict=True))}
        return self._indexes[table]

    def has(self, table: str, *key: str) -> bool:
        """Whether a row with this id exists."""
        return key in self._index(table)

    def accelerator(self, accelerator: str) -> Row:
        """An accelerator type."""
        return self.row("accelerators", accelerator)

    def region(self, region: str) -> Row:
        """A cloud region, `provider:region`."""
        return self.row("regions", region)

    def offer(self, region: str, offer: str) -> Row:
        """A priced machine in a region."""
        return self.row("offers", region, offer)

    def offers_of(self, region: str, accelerator: str) -> list[Row]:
        """All machines with an accelerator in a region, in alphabetical order."""
        if (region, accelerator) not in self._machines:
            self.region(region)
            self.accelerator(accelerator)
        return [self.row("offers", region, name) for name in self._machines.get(
            (region, accelerator), ())]  # fmt: skip

    @cached_property
    def _machines(self) -> dict[tuple[str, str], tuple[str, ...]]:
        groups: dict[tuple[str, str], tuple[str, ...]] = {}
        rows = self.offers[["region", "accelerator", "offer"]].itertuples(index=False, name=None)
        for region, accelerator, offer in rows:
            groups[region, accelerator] = (*groups.get((region, accelerator), ()), offer)
        return groups

    def llm(self, llm: str) -> Row:
        """An open llm."""
        return self.row("llms", llm)

    def api_offer(self, provider: str, llm: str) -> Row:
        """A hosted llm, by the provider's name for it or else by the catalog's llm id.

        Where one catalog llm is sold several times, the cheapest output price wins.
        """
        if self.has("api_offers", provider, llm):
            return self.row("api_offers", provider, llm)
        frame = self.api_offers
        same = frame[(frame["provider"] == provider) & (frame["catalog_llm"] == llm)]
        if len(same):
            best = same.sort_values(["output_usd_per_mtok", "llm"]).iloc[0]
            return self.row("api_offers", provider, str(best["llm"]))
        return self.row("api_offers", provider, llm)

    def parameter(self, name: str) -> float:
        """A number of parameters.csv; its unit is in the table."""
        return float(self.row("parameters", name)["value"])

    def ancillary_default(self, name: str) -> float:
        """A price of ancillary_defaults.csv; its unit is in its name."""
        return float(self.row("ancillary_defaults", name)["value"])

    def retrieval_default(self, name: str) -> float:
        """A figure of retrieval_defaults.csv; its unit is in its name."""
        return float(self.row("retrieval_defaults", name)["value"])

    # -------------------------------------------------------------- grid carbon

    def region_carbon_profile(self, region: str) -> CarbonProfile:
        """Carbon of a region by month and hour (UTC).

        The hourly shape of the grid zone, scaled so that its mean over the hours of the year is
        the region's own annual mean; the flat annual mean where no zone has an hourly series.
        """
        return _carbon_profile(self, region)

    def region_carbon(self, region: str, month: int, hour_utc: int) -> float:
        """Carbon in gCO2e/kWh of a region in a month (1-12) and hour of day (0-23, UTC)."""
        if not (1 <= month <= MONTHS_PER_YEAR and 0 <= hour_utc < HOURS_PER_DAY):
            raise CatalogError(f"no such month and hour: {month}, {hour_utc} (1-12, 0-23)")
        return self.region_carbon_profile(region).gco2e_per_kwh[month - 1][hour_utc]

    @cached_property
    def _profiles(self) -> dict[str, CarbonProfile]:
        return {}

    # -------------------------------------------------------------- network

    def distance_rtt_ms(self, km: float) -> float:
        """Round trip between two data centres by the fitted law a + b x great-circle km."""
        return self.parameter("latency_base_ms") + self.parameter("latency_ms_per_km") * km

    def region_round_trip(self, from_region: str, to_region: str) -> RoundTrip:
        """Round trip between two regions: measured where it was, else by the distance law."""
        if self.has("latency", from_region, to_region):
            measured = self.row("latency", from_region, to_region)
            return RoundTrip(float(measured["rtt_ms"]), f"measured: {measured['statistic']}")
        start, end = self.region(from_region), self.region(to_region)
        if from_region == to_region:
            return RoundTrip(
                self.parameter("same_region_rtt_ms"), "median of regions with themselves"
            )
        km = great_circle_km(start["lat"], start["lon"], end["lat"], end["lon"])
        return RoundTrip(self.distance_rtt_ms(km), f"distance law, {km:.0f} km")

    def users_round_trip(self, origin_region: str, region: str) -> RoundTrip:
        """Round trip of users who live around one region to another: access network added."""
        wire = self.region_round_trip(origin_region, region)
        access_ms = self.parameter("access_network_rtt_ms")
        return RoundTrip(
            wire.rtt_ms + access_ms, f"{wire.provenance}; {access_ms:g} ms access network"
        )

    def round_trip_ms(self, lat: float, lon: float, region: str) -> float:
        """Round trip in ms of users at a place (degrees) to a region.

        The distance law between data centres plus the access-network constant of
        parameters.csv (an assumption: the last mile differs by user).
        """
        end = self.region(region)
        return self.place_round_trip_ms(lat, lon, end["lat"], end["lon"])

    def place_round_trip_ms(
        self, lat: float, lon: float, site_lat: float, site_lon: float
    ) -> float:
        """Round trip in ms of users at a place to a site given by coordinates."""
        km = great_circle_km(lat, lon, site_lat, site_lon)
        return self.distance_rtt_ms(km) + self.parameter("access_network_rtt_ms")

    # -------------------------------------------------------------- adaptation

    def adaptation_prior(self, task_class: str, adaptation: str) -> AdaptationPrior:
        """Published gain of `rag`, `fine-tune` or `rag+fine-tune` over base in a task class.

        A class without figures of its own takes the pooled class `general`.
        """
        if adaptation == "base":
            return AdaptationPrior(task_class, "base", 0.0, 0.0, 0.0, "base is the reference")
        own = self.has("adaptation_priors", task_class, adaptation)
        prior = self.row("adaptation_priors", task_class if own else "general", adaptation)
        caveat = f"; {prior['note']}" if prior["note"] else ""
        pooled = "" if own else f", no figures for {task_class!r}: all classes pooled"
        return AdaptationPrior(
            task_class,
            adaptation,
            float(prior["quality_gain_mean"]),
            float(prior["quality_gain_sd"]),
            float(prior["headroom_share"]),
            f"prior: {prior['figures']} published figures ({prior['source']}){pooled}{caveat}",
        )


def load_catalog(folder: Path | None = None) -> Catalog:
    """The shipped catalog, or the tables of another folder; the same object every time."""
    return _catalog(TABLES_FOLDER if folder is None else Path(folder).resolve())


@lru_cache(maxsize=8)
def _catalog(folder: Path) -> Catalog:
    return Catalog(folder)


def great_circle_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Haversine distance in km between two points in degrees."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half = math.sin((phi_b - phi_a) / 2.0) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(lon_b - lon_a) / 2.0) ** 2
    return 2.0 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def _carbon_profile(catalog: Catalog, region: str) -> CarbonProfile:
    known = catalog._profiles
    if region in known:
        return known[region]
    row = catalog.region(region)
    mean, zone = float(row["carbon_gco2e_per_kwh"]), row["carbon_profile_zone"]
    if zone is None:
        flat = tuple((mean,) * HOURS_PER_DAY for _ in range(MONTHS_PER_YEAR))
        profile = CarbonProfile(
            region, flat, mean, f"annual mean ({row['carbon_source']}), flat: no hourly series"
        )
    else:
        frame = catalog.carbon_profiles
        frame = frame[(frame["zone"] == zone) & (frame["shape"] == "used")]
        frame = frame.sort_values(["month", "hour_utc"])
        shape = frame["gco2e_per_kwh_mean"].to_numpy(dtype=float)
        hours = frame["hours"].to_numpy(dtype=float)
        if len(shape) != MONTHS_PER_YEAR * HOURS_PER_DAY:
            raise CatalogError(f"carbon_profiles: zone {zone} has {len(shape)} rows, not 288")
        scaled = mean * shape / (float(shape @ hours) / float(hours.sum()))
        profile = CarbonProfile(
            region,
            tuple(tuple(map(float, month)) for month in scaled.reshape(-1, HOURS_PER_DAY)),
            mean,
            f"annual mean ({row['carbon_source']}) with the hourly shape of {zone}, "
            f"{int(frame['year'].iloc[0])}",
        )
    known[region] = profile
    return profile


def _plain(value: Any) -> Any:
    """A cell as a plain Python value, None for a blank."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _unknown(what: str, name: str, known: Any) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"unknown {what} {name!r}{hint}"


def _read(path: Path) -> DataFrame:
    """Parse a table, or take the parsed copy from the user's cache."""
    data = path.read_bytes()
    key = hashlib.sha256(data).hexdigest()
    import pandas as pd

    version = f"py{sys.version_info.major}{sys.version_info.minor}-pandas{pd.__version__}"
    cached = cache_folder() / f"{path.name.split('.')[0]}-{key[:32]}-{version}.pickle"
    try:
        frame = pickle.loads(cached.read_bytes())
        if isinstance(frame, pd.DataFrame):
            return frame
    except Exception:  # a missing or damaged copy is no error: the table itself is the truth
        pass
    try:
        frame = pd.read_csv(
            path,
            keep_default_na=False,  # "NA" is a country code
            na_values=[""],
            low_memory=False,
        )
    except Exception as error:
        raise CatalogError(f"catalog table {path.name} is damaged: {error}") from error
    _keep(frame, cached)
    return frame


def _keep(frame: DataFrame, cached: Path) -> None:
    """Write the parsed copy in one step; silently not at all where the folder is not writable."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as file:
            pickle.dump(frame, file, protocol=pickle.HIGHEST_PROTOCOL)
        Path(file.name).replace(cached)
    except OSError:
        pass
