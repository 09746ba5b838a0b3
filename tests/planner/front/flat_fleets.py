"""Fleets so small that some objectives are the same in every plan."""

from __future__ import annotations

from pathlib import Path

TABLES = {
    "accelerators": "accelerator\nl4\n",
    "llms": "llm,precisions\nllama-3.1-8b,fp8\n",
    "origins": "origin,region\nus-east,aws:us-east-1\n",
    "slices": (
        "slice,hours,month,start_hour_utc,end_hour_utc\nh00-12,364,9,0,12\nh12-24,364,9,12,24\n"
    ),
    "length_classes": "workload,input_tokens,output_tokens\nchat,600,200\n",
    "quality": "workload,llm,adaptation,quality\nchat,llama-3.1-8b,base,0.62\n",
}
SETTINGS = """\
format_version = 1
name = "flat"

[period]
start = 2026-09-01
hours = 728

[serving]
operating_tpot_s = [0.05]
prompt_lane_tokens = [4096]

[policy]
commitments = []
"""
CHAT = {
    # QoE depends on nothing but being served.
    "workloads": (
        "workload,ttft_target_s,tpot_target_s,quality_min,quality_exponent,streaming_exponent\n"
        "chat,2,0.08,0.6,0,0\n"
    ),
    "demand": (
        "workload,origin,slice,requests_per_s\nchat,us-east,h00-12,1.1\nchat,us-east,h12-24,1.3\n"
    ),
}
BATCH = {
    "workloads": "workload,kind,quality_min\nchat,batch,0.5\n",
    "demand": "workload,origin,slice,requests_per_s,allowed_slices\nchat,us-east,,1.1,\n",
}
BOTH = ("gcp:us-central1", "aws:eu-north-1")


def write_fleet(
    folder: Path, tables: dict[str, str], regions: tuple[str, ...] = BOTH, caps: str = ""
) -> Path:
    """An instance folder of one workload in the regions."""
    folder.mkdir()
    (folder / "instance.toml").write_text(SETTINGS + caps)
    written = {**TABLES, **tables, "regions": "\n".join(["region", *regions, ""])}
    for name, text in written.items():
        (folder / f"{name}.csv").write_text(text)
    return folder
