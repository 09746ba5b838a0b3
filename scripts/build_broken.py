"""Write instances/broken/: the starter with one mistake per folder, and the finding expected.

Usage: python scripts/build_broken.py [DIR]. `expected.json` beside each mistake holds the file,
row (line), column of the finding and a part of its text.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planner.instance.starter import FILES, FOLDER

DEFAULT = Path(__file__).resolve().parent.parent / "instances" / "broken"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Mistake:
    """How to spoil the starter; `row` counts from 1, None: the file as a whole."""

    name: str
    spoil: Callable[[Files], None]
    file: str
    row: int | None
    column: str
    contains: str


def swap(
    name: str, file: str, old: str, new: str, column: str, contains: str, whole_file: bool = False
) -> Mistake:
    """Replace a text that occurs once; the finding is on its line."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{name}: {old!r} occurs {text.count(old)} times in {file}")
    row = None if whole_file else text[: text.index(old)].count("\n") + 1

    def spoil(files: Files) -> None:
        files[file] = files[file].replace(old.encode(), new.encode())

    return Mistake(name, spoil, file, row, column, contains)


def bytes_of(name: str, file: str, data: bytes, row: int | None, contains: str) -> Mistake:
    """Replace a whole file."""
    return Mistake(name, lambda files: files.update({file: data}), file, row, "", contains)


def added(name: str, file: str, text: str, row: int | None, column: str, contains: str) -> Mistake:
    """Add a table that the starter does not have."""
    data = text.encode()
    return Mistake(name, lambda files: files.update({file: data}), file, row, column, contains)


def removed(name: str, file: str) -> Mistake:
    return Mistake(name, lambda files: files.__delitem__(file), file, None, "", "missing")


def starter(file: str) -> bytes:
    return (FOLDER / file).read_bytes()


def batch_with_slice(files: Files) -> None:
    """A batch workload whose demand names a slice."""
    lines = files[W].decode().splitlines()
    lines[1:] = [
        lines[1] + ",kind",
        lines[2] + ",",
        lines[3] + ",",
        "nightly" + "," * 10 + ",batch",
    ]
    files[W] = ("\n".join(lines) + "\n").encode()
    files[L] += b"nightly,all,1,2000,300,\n"
    files[D] += b"nightly,berlin,night,0.5\n"


def llm_too_large(files: Files) -> None:
    """The only llm is allowed one accelerator per replica, and none is large enough."""
    files[A] = b"accelerator\nl4\nl40s\n"
    files[M] = b"llm,precisions,max_accelerators_per_replica\nqwen3-32b,bf16,1\n"
    files[Q] = b"workload,llm,quality\n*,qwen3-32b,0.74\n"


def with_residency(files: Files) -> None:
    """A workload that must stay where no allowed region is."""
    lines = files[W].decode().splitlines()
    lines[1:] = [lines[1] + ",residency", lines[2] + ",", lines[3] + ",mars"]
    files[W] = ("\n".join(lines) + "\n").encode()


W, L, S, P, D = "workloads.csv", "length_classes.csv", "slices.csv", "origins.csv", "demand.csv"
R, A, M, Q, T = "regions.csv", "accelerators.csv", "llms.csv", "quality.csv", "instance.toml"
OFFER = "region,offer,accelerator,accelerators,ondemand_usd_per_h,spot_usd_per_h\n"

MISTAKES = (
    # ---- files and encodings
    removed("no-settings", T),
    removed("no-demand-table", D),
    Mistake(
        "table-misnamed",
        lambda f: f.update({"demands.csv": f.pop(D)}),
        "demands.csv",
        None,
        "",
        "demand.csv",
    ),
    added(
        "table-as-spreadsheet",
        "quotas.xlsx",
        "not a spreadsheet",
        None,
        "",
        "save it as quotas.csv",
    ),
    bytes_of("utf-16", R, starter(R).decode().encode("utf-16"), None, "UTF-16"),
    bytes_of("latin-1", R, b"region\naws:us-east-1\nbr\xe9sil\n", 3, "not UTF-8"),
    bytes_of("nul-byte", R, b"region\naws:us\0east\n", 2, "NUL byte"),
    bytes_of("semicolons", Q, b"workload;llm;quality\n*;llama-3.1-8b;0.6\n", 1, "separated by"),
    bytes_of("empty-table", A, b"accelerator\n", None, "no rows"),
    bytes_of("empty-file", A, b"", None, "not even a header"),
    bytes_of("open-quote", R, b'region\n"aws:us-east-1\n', 2, "not a CSV table"),
    # ---- headers and rows
    swap(
        "header-misspelt",
        L,
        "output_tokens",
        "ouput_tokens",
        "ouput_tokens",
        "did you mean output_tokens",
    ),
    swap("header-twice", L, "length_class,", "share,", "share", "appears twice"),
    swap(
        "header-in-other-dimension",
        W,
        "ttft_target_s",
        "ttft_target_gb",
        "ttft_target_gb",
        "expected header: ttft_target_s",
    ),
    swap(
        "header-in-euros",
        "instance.toml",
        "staff_usd_per_h",
        "staff_eur_per_h",
        "money.staff_eur_per_h",
        "money.staff_usd_per_h",
    ),
    swap(
        "header-without-unit",
        D,
        "slice,requests_per_s",
        "slice,requests",
        "requests",
        "unit is missing",
    ),
    swap(
        "ragged-row", D, "chat,us-east,day,6", "chat,us-east,day,6,7", "", "5 cells under 4 headers"
    ),
    swap(
        "required-cell-blank", L, "chat,long,0.2,2500,", "chat,long,0.2,,", "input_tokens", "blank"
    ),
    # ---- cells
    swap("spreadsheet-error", R, "aws:eu-north-1", "#REF!", "region", "not an identifier"),
    swap(
        "thousands-separator",
        L,
        "chat,long,0.2,2500,",
        'chat,long,0.2,"2,500",',
        "input_tokens",
        "write 2500",
    ),
    swap("percent-sign", L, "chat,short,0.8,", "chat,short,80%,", "share", "percent sign"),
    swap(
        "decimal-comma",
        Q,
        "*,qwen3-32b,base,0.74",
        '*,qwen3-32b,base,"0,74"',
        "quality",
        "write 0.74",
    ),
    swap(
        "unit-in-cell",
        W,
        "chat,general,1,5.2,2,",
        "chat,general,1,5.2,2 s,",
        "ttft_target_s",
        "unit beside the number",
    ),
    swap(
        "not-a-number",
        D,
        "documents,berlin,day,1.5",
        "documents,berlin,day,n/a",
        "requests_per_s",
        "leave the cell blank",
    ),
    swap(
        "infinite-number",
        W,
        "chat,general,1,5.2,2,",
        "chat,general,1,5.2,1e999,",
        "ttft_target_s",
        "not a finite number",
    ),
    swap(
        "negative-rate",
        D,
        "documents,berlin,day,1.5",
        "documents,berlin,day,-1.5",
        "requests_per_s",
        "at least 0",
    ),
    swap(
        "share-above-one", Q, "*,qwen3-32b,base,0.74", "*,qwen3-32b,base,74", "quality", "at most 1"
    ),
    swap(
        "fraction-of-a-count",
        M,
        "qwen3-32b,fp8,4",
        "qwen3-32b,fp8,2.5",
        "max_accelerators_per_replica",
        "whole number",
    ),
    swap(
        "name-with-space", L, "chat,short,", "chat,very short,", "length_class", "not an identifier"
    ),
    swap(
        "unknown-choice",
        Q,
        "*,qwen3-32b,base",
        "*,qwen3-32b,bsae",
        "adaptation",
        "did you mean base",
    ),
    # ---- settings
    swap("toml-syntax", T, 'name = "starter"', "name = starter", "", "not TOML"),
    swap(
        "toml-unknown-key",
        T,
        "spot_share_max",
        "spot_share_most",
        "policy.spot_share_most",
        "spot_share_max",
    ),
    swap("toml-wrong-type", T, "hours = 730 ", 'hours = "730" ', "period.hours", "number"),
    swap("not-a-date", T, "2026-12-01", '"December"', "period.start", "date"),
    swap(
        "no-such-incumbent",
        T,
        "[period]",
        'incumbent = "runs/none"\n[period]',
        "incumbent",
        "not a readable plan",
    ),
    swap(
        "no-operating-point",
        T,
        "# operating_tpot_s = [0.03, 0.06]",
        "operating_tpot_s = []",
        "serving.operating_tpot_s",
        "an empty list",
    ),
    swap(
        "lanes-not-ascending",
        T,
        "# prompt_lane_tokens = [4096, 16384]",
        "prompt_lane_tokens = [16384, 4096]",
        "serving.prompt_lane_tokens",
        "not ascending",
    ),
    # ---- references
    swap(
        "unknown-workload",
        D,
        "documents,berlin,day",
        "document,berlin,day",
        "workload",
        "did you mean documents",
    ),
    swap(
        "unknown-slice",
        D,
        "documents,berlin,day",
        "documents,berlin,dya",
        "slice",
        "did you mean day",
    ),
    swap(
        "unknown-region",
        R,
        "aws:eu-north-1",
        "aws:eu-nroth-1",
        "region",
        "did you mean aws:eu-north-1",
    ),
    swap("unknown-accelerator", A, "h100-sxm", "h100-smx", "accelerator", "did you mean h100-sxm"),
    swap(
        "unknown-llm",
        M,
        "qwen3-32b,fp8,4",
        "qwen-3,fp8,4\nqwen3-32b,fp8,4",
        "llm",
        "not an llm of the catalog",
    ),
    swap(
        "row-twice",
        D,
        "chat,us-east,night,2",
        "chat,us-east,day,2",
        "workload+origin+slice",
        "said before",
    ),
    swap(
        "unknown-precision",
        M,
        "qwen3-32b,fp8,4",
        "qwen3-32b,fp7,4",
        "precisions",
        "did you mean fp8",
    ),
    added(
        "override-of-nothing",
        "overrides.csv",
        "table,id,column,value,reason\nregions,aws:us-east-1,puee,1.2,measured\n",
        2,
        "column",
        "did you mean pue",
    ),
    # ---- rows that must agree
    swap("shares-not-one", L, "chat,long,0.2,", "chat,long,0.3,", "share", "add up to 1.1"),
    swap(
        "slice-hours-not-period",
        S,
        "night,365,",
        "night,300,",
        "hours",
        "add up to 665",
        whole_file=True,
    ),
    swap(
        "empty-window",
        S,
        "night,365,12,20,8",
        "night,365,12,8,8",
        "end_hour_utc",
        "window of the day is empty",
    ),
    swap(
        "interactive-without-slice",
        D,
        "documents,berlin,day,1.5",
        "documents,berlin,,1.5",
        "slice",
        "needs a slice",
    ),
    Mistake("batch-with-slice", batch_with_slice, D, 11, "slice", "is batch"),
    swap(
        "no-base-quality",
        Q,
        "*,qwen3-32b,base",
        "chat,qwen3-32b,base",
        "quality",
        "no base quality of qwen3-32b for documents",
        whole_file=True,
    ),
    swap("origin-without-place", P, "berlin,,52.52,13.4", "berlin,,,", "origin", "no place"),
    added(
        "own-site-without-carbon",
        R,
        "region,kind,lat,lon,pue\naws:us-east-1,,,,\nlab,own,50,8,1.3\n",
        3,
        "carbon_gco2e_per_kwh",
        "lab is not in the catalog",
    ),
    Mistake("residency-nowhere", with_residency, W, 4, "residency", "no allowed region has this"),
    added(
        "half-an-accelerator",
        "quotas.csv",
        "region,accelerator,accelerators\naws:us-east-1,l4,0.5\n",
        2,
        "accelerators",
        "not a whole number",
    ),
    swap(
        "slice-without-demand",
        D,
        "documents,berlin,day,1.5\n",
        "",
        "slice",
        "has no row for day",
    ),
    swap(
        "half-a-window", S, "night,365,12,20,8", "night,365,12,20,", "end_hour_utc", "half a window"
    ),
    # ---- magnitudes
    swap(
        "rate-far-above",
        D,
        "chat,us-east,day,6",
        "chat,us-east,day,60000",
        "requests_per_s",
        "1,000 times",
    ),
    swap(
        "ttft-in-milliseconds",
        W,
        "chat,general,1,5.2,2,",
        "chat,general,1,5.2,2000,",
        "ttft_target_s",
        "implausible",
    ),
    swap("tpot-in-milliseconds", W, "5.2,2,0.08,", "5.2,2,80,", "tpot_target_s", "implausible"),
    swap(
        "rate-of-a-billion",
        D,
        "chat,us-east,day,6",
        "chat,us-east,day,1e9",
        "requests_per_s",
        "implausible",
    ),
    added(
        "price-per-month",
        "offers.csv",
        OFFER + "aws:us-east-1,mine,l4,1,5000,\n",
        2,
        "ondemand_usd_per_h",
        "5,000 USD/h per accelerator",
    ),
    added(
        "spot-above-on-demand",
        "offers.csv",
        OFFER + "aws:us-east-1,mine,l4,1,1.0,1.5\n",
        2,
        "spot_usd_per_h",
        "above the on-demand price",
    ),
    added(
        "offer-without-price",
        "offers.csv",
        OFFER + "aws:us-east-1,mine,l4,1,,\n",
        2,
        "ondemand_usd_per_h",
        "no price in any market",
    ),
    added(
        "owned-unknown-offer",
        "owned.csv",
        "region,offer,instances,usd_per_h\naws:us-east-1,aws_p99,2,30\n",
        2,
        "offer",
        "no such offer in aws:us-east-1",
    ),
    added(
        "offer-of-another-size",
        "offers.csv",
        OFFER + "aws:us-east-1,aws_g6.12xlarge,l4,8,9,\n",
        2,
        "accelerators",
        "the catalog's aws_g6.12xlarge has 4 l4",
    ),
    swap(
        "unknown-engine",
        T,
        "# operating_tpot_s = [0.03",
        'engine = "vlm"\n# operating_tpot_s = [0.03',
        "serving.engine",
        "did you mean vllm",
    ),
    # ---- impossible before solving
    swap(
        "longer-than-lanes",
        T,
        "# prompt_lane_tokens = [4096, 16384]",
        "prompt_lane_tokens = [1024]",
        "serving.prompt_lane_tokens",
        "are longer than every lane",
    ),
    swap(
        "slower-than-targets",
        T,
        "# operating_tpot_s = [0.03, 0.06]",
        "operating_tpot_s = [0.09]",
        "serving.operating_tpot_s",
        "all slower than the",
    ),
    Mistake("llm-too-large", llm_too_large, M, 2, "llm", "its weights take 66 GB"),
    Mistake(
        "accelerator-not-on-sale",
        lambda f: f.update({A: b"accelerator\nmi300x\n"}),
        A,
        2,
        "accelerator",
        "no offer in any",
    ),
    swap(
        "target-below-network",
        W,
        "chat,general,1,5.2,2,",
        "chat,general,1,5.2,0.03,",
        "ttft_target_s",
        "below the network alone",
    ),
    swap(
        "longer-than-context",
        L,
        "documents,all,1,800,",
        "documents,all,1,900000,",
        "input_tokens",
        "the longest context is",
    ),
    swap(
        "quality-out-of-reach",
        W,
        "2,0.08,0.5,",
        "2,0.08,0.95,",
        "quality_min",
        "the best variant reaches 0.7",
    ),
)


def write(target: Path) -> None:
    """Write one folder per mistake, old ones removed."""
    shutil.rmtree(target, ignore_errors=True)
    for mistake in MISTAKES:
        files = {name: starter(name) for name in FILES}
        mistake.spoil(files)
        folder = target / mistake.name
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        expected = {
            "file": mistake.file,
            "row": mistake.row,
            "column": mistake.column,
            "contains": mistake.contains,
        }
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")
    print(f"{target}: {len(MISTAKES)} folders")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
