"""Random damage to shipped instances: a sane instance or findings, never anything else."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from planner.candidates import build_candidates
from planner.catalog import load_catalog
from planner.errors import InfeasibleError, InstanceError
from planner.instance.facts import Facts
from planner.instance.findings import Finding
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.instance.schema import TABLES, Instance
from planner.instance.starter import write_starter

SMALL = Path(__file__).resolve().parents[3] / "instances" / "small"
CELLS = (
    "", " ", "0", "-1", "1e308", "1e999", "nan", "inf", "-0.0", "1,5", "1.000,5", "5%", "$5", "٣",
    "0x10", "1_000", "#REF!", "=1+1", "*", "null", "true", "2026-13-45", "🚀", "a" * 5_000, "\x07",
    '"', '""', "'", "a;b;;c", "../../etc/passwd", "aws:us-east-1", "llama-3.1-8b", "９", "1 000",
    "\u202e", "5 ms", "-", "1e-320", "99999999999999999999999", "base", "day", "\ufeff",
)  # fmt: skip
Damage = Callable[[random.Random, Path], None]


def pick(rng: random.Random, folder: Path, suffix: str = "") -> Path:
    return rng.choice(sorted(path for path in folder.iterdir() if path.name.endswith(suffix)))


def table(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


def put(path: Path, rows: list[list[str]]) -> None:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")


def cell(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder, ".csv")
    rows = table(path)
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(CELLS)
    put(path, rows)


def number(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder, ".csv")
    rows = table(path)
    row = rng.choice(rows)
    at = rng.randrange(len(row))
    try:
        row[at] = f"{float(row[at]) * 10.0 ** rng.uniform(-12, 12):g}"
    except ValueError:
        row[at] = row[at][::-1]
    put(path, rows)


def header(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder, ".csv")
    rows = table(path)
    at = rng.randrange(len(rows[0]))
    changes = (str.upper, lambda h: h + "_ms", lambda h: h[:-1], lambda h: "", lambda h: h + "s")
    rows[0][at] = rng.choice([*changes, lambda _: rng.choice(rows[0])])(rows[0][at])
    put(path, rows)


def row(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder, ".csv")
    rows = table(path)
    at = rng.randrange(len(rows))
    rng.choice([
        lambda: rows.pop(at),
        lambda: rows.insert(at, [*rows[at]]),
        rows[at].pop,
        lambda: rows[at].append("1"),
        lambda: rng.shuffle(rows),
        rows.clear,
    ])()  # fmt: skip
    put(path, rows)


def encoding(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder)
    text = path.read_text(encoding="utf-8")
    name = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037", "utf-7"])
    path.write_bytes(text.encode(name))


def some_bytes(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder)
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(bytes(data))


def size(rng: random.Random, folder: Path) -> None:
    path = pick(rng, folder)
    data = path.read_bytes()
    path.write_bytes(
        rng.choice([b"", data[: rng.randrange(len(data) + 1)], data * 3, data + rng.randbytes(200)])
    )


def files(rng: random.Random, folder: Path) -> None:
    path, other = pick(rng, folder), pick(rng, folder)
    if rng.random() < 0.5:
        path.unlink()
    else:
        shutil.copyfile(path, folder / rng.choice([other.name, "more.csv", "INSTANCE.TOML"])) if (
            path != other
        ) else None


def settings(rng: random.Random, folder: Path) -> None:
    path = folder / "instance.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    at = rng.randrange(len(lines))
    values = ("-1", "nan", "inf", '"x"', "[]", "[1, 'a']", "{}", "true", "1979-05-27T07:32:00Z",
              "9" * 400, "{a = {b = 1}}", "'''", "[" * 2_000, "0x_", "1e400")  # fmt: skip
    key = lines[at].split("=")[0] if "=" in lines[at] else rng.choice(["policy", "x.y", "caps"])
    lines[at] = f"{key} = {rng.choice(values)}"
    path.write_text("\n".join(lines), encoding="utf-8")


DAMAGES: tuple[Damage, ...] = (
    cell, cell, number, number, header, row, encoding, some_bytes, size, files, settings
)  # fmt: skip


def assert_sane(instance: Instance) -> None:
    """What was accepted adds up and can be meant."""
    for name, (_, required) in TABLES.items():
        assert getattr(instance, name) or not required, name
    hours = math.fsum(row.hours for row in instance.slices)
    assert hours == pytest.approx(instance.settings.period.hours)
    names = {row.workload for row in instance.workloads}
    for workload in names:
        shares = [row.share for row in instance.length_classes if row.workload == workload]
        assert math.fsum(shares) == pytest.approx(1.0)
    assert {row.workload for row in instance.demand} == names
    assert all(0.0 <= row.requests_per_s <= 1e6 for row in instance.demand)


def assert_plannable(facts: Facts) -> None:
    """The arrays of the program are usable numbers, or it is said why there is no plan."""
    try:
        data = build_candidates(facts).data
    except InfeasibleError as error:
        assert error.conflict
        return
    for array in (data.route_cost_usd, data.route_carbon_kgco2e, data.item_requests):
        assert np.isfinite(array).all()
        assert (array >= 0.0).all()


def damage_and_load(seed: int, source: Path, folder: Path, *, plans: bool) -> bool:
    """Whether the damaged instance was refused; any other exception fails the test."""
    rng = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        try:
            rng.choice(DAMAGES)(rng, folder)
        except (UnicodeError, IndexError, FileNotFoundError):
            continue  # damaged beyond further damage of this kind
    try:
        instance = load_instance(folder)
        assert_sane(instance)
        facts = resolve(instance, load_catalog())
    except InstanceError as error:
        assert error.findings, f"seed {seed}: refused without a finding"
        assert all(isinstance(f, Finding) and f.problem and f.remedy for f in error.findings)
        assert all(len(f"{f}") < 2_000 for f in error.findings)
        return True
    if plans:
        assert_plannable(facts)
    return False


def refused(seeds: range, sources: Sequence[Path], folder: Path, *, plans: bool = False) -> int:
    return sum(
        damage_and_load(seed, sources[seed % len(sources)], folder, plans=plans) for seed in seeds
    )


def test_200_mutations(tmp_path: Path) -> None:
    starter = tmp_path / "starter"
    write_starter(starter)
    assert 100 < refused(range(200), (starter, SMALL), tmp_path / "damaged") < 200


@pytest.mark.slow
def test_2000_mutations(tmp_path: Path) -> None:
    seeds = range(1_000, 3_000)
    assert 1_000 < refused(seeds, (SMALL,), tmp_path / "damaged", plans=True) < 2_000
