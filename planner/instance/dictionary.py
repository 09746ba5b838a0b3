"""The data dictionary of the instance format, read from the schema: FORMAT.md and JSON Schema.

Descriptions are the strings below the fields of `planner.instance.schema`; reading them from the
source when asked costs less than keeping them in memory always.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from planner.instance import schema
from planner.instance.checks import KEYS, PLAUSIBLE
from planner.instance.schema import OWN_FLEET, RUNNING, TABLES, Settings
from planner.instance.tables import field_kind, number_fields
from planner.instance.units import unit_of


@dataclass(frozen=True)
class Entry:
    """One column of a table, or one key of ``instance.toml``."""

    name: str
    kind: str
    unit: str
    limits: str
    default: str
    description: str


@cache
def descriptions() -> dict[tuple[str, str], str]:
    """(class, field) -> the string below the field."""
    found = {}
    for node in ast.parse(inspect.getsource(schema)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                text = " ".join(str(after.value.value).split())
                found[node.name, statement.target.id] = text
    return found


def _kind(annotation: Any) -> str:
    parts = [annotation]
    if get_origin(annotation) in {Union, UnionType}:
        parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(parts[0]) is tuple:
        return f"list of {_kind(get_args(parts[0])[0])}"
    while hasattr(parts[0], "__metadata__"):
        parts = [get_args(parts[0])[0]]
    if get_origin(parts[0]) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(parts[0]))
    if parts[0] is bool:
        return "true or false"
    if isinstance(parts[0], type) and issubclass(parts[0], BaseModel):
        return "section"
    names = {"float": "number", "int": "whole number", "date": "date", "text": "text"}
    return names[field_kind(annotation)]


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        if part is not Ellipsis and get_origin(annotation) is not Literal:
            yield from _metadata(part)


def _bound_parts(extra: Any) -> Iterator[Any]:
    yield extra
    yield from getattr(extra, "metadata", ())


def _limits(info: Any, plausible: tuple[float, float] | None) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    said: dict[str, float] = {}
    for extra in (*info.metadata, *_metadata(info.annotation)):
        for part in _bound_parts(extra):
            for name in signs:
                value = getattr(part, name, None)
                if isinstance(value, int | float):
                    said[name] = value
    if plausible is not None:
        low, high = plausible
        if low > 0.0:
            said.pop("gt", None)
            said["ge"] = low
        said["le"] = min(high, said.get("le", high))
    return ", ".join(
        f"{signs[name]} {value:,.10g}" if value > 9999 else f"{signs[name]} {value:.10g}"
        for name, value in sorted(said.items())
    )


def _default(info: Any) -> str:
    if info.is_required():
        return "**required**"
    value = info.default
    if value is None or value is PydanticUndefined:
        return "blank"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:,.10g}`" if isinstance(value, float) else f"`{value}`" if value != "" else ""


def entries(row_class: type[BaseModel], table: str = "") -> tuple[Entry, ...]:
    """One entry per field, in the order of the schema."""
    numbers = number_fields(row_class)
    return tuple(
        Entry(
            name=name,
            kind=_kind(info.annotation),
            unit=unit_of(name) if name in numbers else "",
            limits=_limits(info, PLAUSIBLE.get(table, {}).get(name)),
            default=_default(info),
            description=descriptions()[row_class.__name__, name],
        )
        for name, info in row_class.model_fields.items()
    )


def _grid(rows: tuple[Entry, ...], heading: str) -> str:
    lines = [
        f"| {heading} | type | unit | limits | default | description |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{e.name}` | {e.kind} | {e.unit} | {e.limits} | {e.default} | {e.description} |"
        for e in rows
    ]
    return "\n".join(lines)


def _prose(row_class: type[BaseModel]) -> str:
    return inspect.cleandoc(row_class.__doc__ or "").replace("``", "`")


_INTRODUCTION = """\
# The instance format

A folder with `instance.toml` and CSV tables. `planner new DIR` writes one that plans at once,
`planner validate DIR` lists everything that is wrong in one. This page is written by
`scripts/build_format.py` from `planner/instance/schema.py`.

- Tables are UTF-8 text (a byte order mark does no harm), cells separated by commas, the first line
  names the columns, in any order. Lines that start with `# ` are notes. A blank cell means the
  default; blank figures of regions, accelerators, offers and hosted llms mean the catalog's.
- Numbers are plain: `1500.5` or `1e6`, without thousands separators, percent signs or units; dates
  are `2026-11-01`. Lists inside a cell are separated by `;`.
- Units stand in the headers. A header in another unit of the same dimension is converted
  (`ttft_target_ms`, `requests_per_h`, `tdp_kw`, `cached_percent`), a month being 730 hours and a
  year 8,760; another dimension or currency is refused. The same holds for keys of `instance.toml`.
- Values outside the limits are refused: a unit is wrong, or a digit slipped. The price of an
  accelerator must lie between 0.005 and 200 USD an hour.
- A figure that replaces one of the catalog is held against it. What has the factor of a slip (the
  price of one accelerator in the place of the machine's, kg for g, cents) or lies far off is
  refused with both figures; what lies less far is pointed out, as are months that the period does
  not have and settings without effect. `planner validate` lists both and names them:
  `accept = ["NAME"]`, above the sections of `instance.toml`, says that a figure is meant (`*`
  stands for any characters), and the plan says so among its assumptions.
- Ids of regions, accelerators, llms and offers are the catalog's: `planner catalog` lists them.
- At most 50 MB and 2,000,000 rows per table. Other files in the folder are left alone, except
  tables of other names, which are refused.
"""


_RUNNING = """\
Where no plan of ours runs yet, `incumbent` may name a folder with these two tables. Changes are
measured against them. Copies of indexes and adapters are assumed in every region with machines.
"""


def format_page() -> str:
    """``instances/FORMAT.md``."""
    parts = [_INTRODUCTION, "## instance.toml", _grid(entries(Settings), "key")]
    for name, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            parts += [f"### [{name}]", _prose(section), _grid(entries(section), "key")]
    for name, (row_class, required) in TABLES.items():
        unless = "required unless every answer is bought" if name in OWN_FLEET else "optional"
        need = "required" if required else unless
        parts += [
            f"## {name}.csv ({need})",
            _prose(row_class),
            _grid(entries(row_class, name), "column"),
        ]
        if name in KEYS:
            key = ", ".join(f"`{part}`" for part in KEYS[name])
            parts.append(f"No two rows have the same {key}.")
    parts += ["## What runs today, as tables", _RUNNING]
    for name, row_class in RUNNING.items():
        parts += [f"### {name}.csv", _prose(row_class), _grid(entries(row_class), "column")]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def json_schema() -> dict[str, Any]:
    """JSON Schema for editors: ``instance.toml`` at the root, every table's row under ``$defs``."""
    root = Settings.model_json_schema()
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    root["title"] = "instance.toml"
    definitions = root.setdefault("$defs", {})
    for name, (row_class, required) in TABLES.items():
        row = row_class.model_json_schema()
        row["title"] = f"a row of {name}.csv ({'required' if required else 'optional'})"
        definitions.update(row.pop("$defs", {}))
        definitions[row_class.__name__] = row
    for (class_name, name), text in descriptions().items():
        owner = root if class_name == "Settings" else definitions.get(class_name, {})
        if name in owner.get("properties", {}):
            owner["properties"][name]["description"] = text
    parsed: dict[str, Any] = json.loads(json.dumps(root))
    return parsed
