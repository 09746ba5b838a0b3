"""A corpus of unlike fleets: `planner plan` beside the whole stated program and plain HiGHS.

    python scripts/unlike_fleets.py /tmp/fleets --count 200
    python scripts/bench/corpus.py /tmp/fleets --seconds 20 --jobs 2 --results /tmp/corpus.jsonl

Each fleet is planned twice, one after the other, in processes of their own with the same time
limit and the same number of threads (`--threads`, one by default): by the product, its clock
running from reading the folder to the checked plan, and by HiGHS alone on the program that Pyomo
states, its clock running while HiGHS does. One JSON line a fleet is added to `--results`; fleets
that stand there are not planned again. The summary by size is printed, and written with `--page`.

Verdicts: `crash` (an exception that is no answer), `wrong status` (no plan or "impossible" where
the judge has a plan, a plan or nothing where it proved that none exists, nothing where it has an
answer), `bound too high` (above the judge's value, so that the value is worse than the gap stated
allows), `too good` (a plan below the judge's bound), `overrun` (over the limit by more than a
second); `open` where neither has a plan or a proof; else `ok`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

GAP = 0.005
WALL = time.monotonic
CLOCKS = [WALL]
"""The last one is what the product takes for the time."""
TOLERANCE = 2e-5
"""Relative: HiGHS keeps rows within 1e-6 and integers within 1e-6."""
GRACE, GRACE_S = 20.0, 300.0
"""For building the program, for what runs over its limit, and for a machine that does much else."""
SIZES = ((1_000, "up to 1,000"), (8_000, "to 8,000"), (25_000, "to 25,000"), (10**9, "more"))
"""Eligible routes."""


@dataclass(frozen=True)
class Side:
    """What one of the two says of a fleet."""

    status: str
    """``plan``, ``infeasible``, ``nothing``, ``invalid`` or ``crash``"""
    value: float | None = None
    bound: float | None = None
    seconds: float = 0.0
    """wall clock of the whole: from the folder to the answer, or of HiGHS alone"""
    ready_s: float = 0.0
    """before these, for the judge: reading, candidates, Pyomo"""
    trace: tuple[tuple[float, float, float], ...] = ()
    """(seconds, value, bound)"""
    routes: int = 0
    said: str = ""
    proof: str = ""
    grid: dict[str, Any] | None = None
    """lanes and operating points of the planner's answer, on which the judge solves too"""

    def gap_at(self, seconds: float) -> float:
        """Relative gap after so long; inf where there is no plan or no bound."""
        gaps = [gap(value, bound) for at, value, bound in self.trace if at <= seconds]
        if self.status == "plan" and self.seconds <= seconds:
            gaps.append(gap(self.value, self.bound))
        return min(gaps, default=float("inf"))

    def time_to(self, wanted: float) -> float:
        """Seconds until the gap was so small; inf where it never was."""
        if self.status == "infeasible":
            return self.seconds
        times = [at for at, value, bound in self.trace if gap(value, bound) <= wanted]
        if self.status == "plan" and gap(self.value, self.bound) <= wanted:
            times.append(self.seconds)
        return min(times, default=float("inf"))


def gap(value: float | None, bound: float | None) -> float:
    if value is None or bound is None or not (abs(value) < 1e30 and abs(bound) < 1e30):
        return float("inf")
    return max(value - bound, 0.0) / max(abs(value), 1e-9)


# ------------------------------------------------------------------ the two, each in a process


def now() -> float:
    """Seconds of the last clock."""
    return CLOCKS[-1]()


def clock_of(name: str, threads: int) -> Callable[[], float]:
    """Seconds since now: of the wall, or of the processors over `threads`."""
    read = WALL if name == "wall" else time.process_time
    shared = 1 if name == "wall" else threads
    began = read()
    return lambda: (read() - began) / shared


def planned(folder: Path, seconds: float, threads: int, clock: str) -> Side:
    """The product, from the folder to the checked plan."""
    from planner.api import Request, answer
    from planner.errors import InfeasibleError, InstanceError, SolverError
    from planner.solve.options import Progress

    spent = clock_of(clock, threads)
    trace: list[tuple[float, float, float]] = []

    def listen(progress: Progress) -> None:
        trace.append((spent(), progress.value, progress.bound))

    def side(status: str, said: str = "", **figures: Any) -> Side:
        kept = thinned([step for step in trace if abs(step[1]) < 1e30])
        return Side(status, seconds=spent(), trace=kept, said=said, **figures)

    try:
        request = Request(gap=GAP, time_limit_s=seconds, threads=threads)
        found = answer(folder, request, on_progress=listen)
    except InstanceError as error:
        return side("invalid", str(error.findings or error)[:2000])
    except InfeasibleError as error:
        return side("infeasible", "; ".join([str(error), *error.conflict, *error.repair])[:2000])
    except SolverError as error:
        return side("nothing", str(error)[:2000])
    except Exception as error:
        return side("crash", f"{type(error).__name__}: {error}"[:2000])
    stated = found.plan.certificate
    figures = {"value": stated.value, "bound": stated.bound, "proof": stated.proof}
    return side("plan", stated.status, **figures, grid=asdict(found.plan.grid))


def thinned(trace: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    """The steps that matter: the gap, and every step that narrows it by a tenth."""
    kept: list[tuple[float, float, float]] = []
    best = float("inf")
    for step in trace:
        now = gap(step[1], step[2])
        if now < 0.9 * best:
            kept.append(step)
            best = now
    return tuple(kept)


def judged(
    folder: Path,
    seconds: float,
    threads: int,
    clock: str,
    total: str | None = None,
    mip_gap: float = 1e-4,
    grid: dict[str, Any] | None = None,
) -> Side:
    """HiGHS alone on the program that Pyomo states, on a grid or the default one; supply is for it
    to prove, too."""
    import highspy

    from models.fleet.program import build_program, minimize
    from planner.api import load
    from planner.candidates import build
    from planner.errors import InfeasibleError
    from planner.instance.grid import Grid

    began = time.monotonic()
    build.prove_supply = lambda *given: None  # type: ignore[attr-defined]
    facts = load(folder)
    if grid is not None:
        facts = replace(facts, grid=Grid.from_dict(grid))
    try:
        data = build.build_candidates(facts).data
    except InfeasibleError as error:
        return Side("infeasible", ready_s=time.monotonic() - began, said=f"before: {error}"[:2000])
    program = build_program(data)
    minimize(program, total or facts.instance.settings.minimize)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "program.lp"
        program.write(str(file), io_options={"symbolic_solver_labels": False})
        highs = highspy.Highs()
        options = {"output_flag": False, "threads": threads, "mip_rel_gap": mip_gap,
                   "mip_abs_gap": 0.0}  # fmt: skip
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.readModel(str(file))
    ready, trace = time.monotonic() - began, []
    spent = clock_of(clock, threads)

    def watch(event: Any) -> None:
        trace.append((spent(), event.data_out.mip_primal_bound, event.data_out.mip_dual_bound))
        event.interrupt(spent() > seconds)

    highs.cbMipInterrupt.subscribe(watch)
    highs.cbSimplexInterrupt.subscribe(lambda event: event.interrupt(spent() > seconds))
    highs.run()
    info = highs.getInfo()
    status = highs.modelStatusToString(highs.getModelStatus())
    kept = thinned([step for step in trace if abs(step[1]) < 1e30])
    common: dict[str, Any] = {"seconds": spent(), "ready_s": ready, "trace": kept,
                              "routes": len(data.route_group), "said": status}  # fmt: skip
    if status == "Infeasible":
        return Side("infeasible", **common)
    bound = float(info.mip_dual_bound) if abs(info.mip_dual_bound) < 1e30 else None
    if info.primal_solution_status != 2:
        return Side("nothing", bound=bound, **common)
    return Side("plan", float(info.objective_function_value), bound, **common)


def solved(folder: Path, total: str, seconds: float) -> Side:
    """One total's least value by HiGHS alone, for the caps of the generator."""
    return in_process("judge", folder, seconds, 1, "wall", total, 1e-6)


def in_process(who: str, folder: Path, seconds: float, *given: Any) -> Side:
    """The side of `who`, from a process that ends, well or badly, soon after its limit."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=reply, args=(send, who, folder, seconds, *given))
    began = time.monotonic()
    process.start()
    send.close()
    try:
        if receive.poll(GRACE * seconds + GRACE_S):
            side: Side = receive.recv()
            return side
        status, said = ("crash" if who == "planner" else "nothing"), "killed"
    except EOFError:
        process.join()
        status, said = "crash", f"the process ended with {process.exitcode}"
    finally:
        process.join(2.0)
        if process.is_alive():
            process.kill()
        process.join()
    return Side(status, seconds=time.monotonic() - began, said=said)


def reply(pipe: Connection, who: str, folder: Path, seconds: float, *given: Any) -> None:
    """Inside the process."""
    work = {"planner": planned, "judge": judged}[who]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # HiGHS greets on stdout
    threads, clock = given[:2]
    CLOCKS.append(clock_of(clock, threads))
    try:
        pipe.send(work(folder, seconds, *given))
    except Exception:
        pipe.send(Side("crash", said=traceback.format_exc()[-2000:]))


def warm() -> None:
    """Import and read once what every process needs; limits count in the seconds of its clock."""
    time.monotonic = now  # before anything keeps the other
    for name in ("pyomo.environ", "models.fleet.program", "planner.answer", "planner.candidates",
                 "planner.solve.engine", "planner.verify"):  # fmt: skip
        importlib.import_module(name)
    from planner.catalog import load_catalog

    load_catalog()


# ------------------------------------------------------------------ verdicts


def verdict(ours: Side, judge: Side, limit_s: float) -> str:
    """One word or two for the pair."""
    silent = [side.status == "nothing" for side in (ours, judge)]
    at_odds = ours.status != judge.status and not silent[1]
    told = {
        ours.status: ours.status in {"crash", "invalid"},
        "judge crashed": judge.status == "crash",
        "overrun": ours.seconds > limit_s + 1.0,
        "open": all(silent),
        "wrong status": at_odds or silent[0],
        "bound too high": exceeds(ours.bound, judge.value),
        "too good": exceeds(judge.bound, ours.value),
    }
    return next((words for words, holds in told.items() if holds), "ok")


def exceeds(bound: float | None, value: float | None) -> bool:
    """Whether the one's bound is above the other's value by more than tolerances."""
    if bound is None or value is None:
        return False
    return bound > value + TOLERANCE * max(abs(value), 1e-3)


# ------------------------------------------------------------------ the bench


def compared(folder: Path, seconds: float, threads: int, clock: str) -> dict[str, Any]:
    """The line of a fleet."""
    ours = in_process("planner", folder, seconds, threads, clock)
    judge = in_process("judge", folder, seconds, threads, clock, None, 1e-4, ours.grid)
    return {
        "fleet": folder.name,
        "description": description(folder),
        "verdict": verdict(ours, judge, seconds),
        "planner": asdict(ours),
        "judge": asdict(judge),
    }


def description(folder: Path) -> str:
    import tomllib

    settings = tomllib.loads((folder / "instance.toml").read_text(encoding="utf-8"))
    return f"{settings.get('description', '')} [{settings.get('minimize', 'cost')}]"


def line(row: dict[str, Any]) -> str:
    """A fleet in one line of text."""
    sides = [Side(**row[who]) for who in ("planner", "judge")]
    parts = []
    for side in sides:
        told = f"{side.value:,.6g}" if side.value is not None else side.status
        parts.append(f"{told} gap {gap(side.value, side.bound):.2%} {side.seconds:.1f} s")
    return f"{row['fleet']}  {row['verdict']:14}  {' | '.join(parts)}  {row['description'][:90]}"


def size_of(row: dict[str, Any]) -> str:
    return next(name for most, name in SIZES if row["judge"]["routes"] <= most)


def summary(rows: Iterable[dict[str, Any]], seconds: float, threads: int) -> str:
    """Medians and worst by size, as markdown."""
    rows = list(rows)
    verdicts: dict[str, int] = {}
    for row in rows:
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    told = ", ".join(f"{count} {name}" for name, count in sorted(verdicts.items()))
    lines = [
        f"{len(rows)} fleets, {seconds:g} s each, {threads} thread(s) each: {told}.",
        "",
        "| routes | fleets | s to 0.5 %: planner, median / worst | HiGHS, median / worst "
        "| gap at 10 s: planner, median / worst | HiGHS, median / worst "
        "| slower than HiGHS | planner, longest s |",
        "| --- | ---: | --- | --- | --- | --- | ---: | ---: |",
    ]
    for _, name in SIZES:
        chosen = [row for row in rows if size_of(row) == name]
        if not chosen:
            continue
        ours = [Side(**row["planner"]) for row in chosen]
        judge = [Side(**row["judge"]) for row in chosen]
        cells = [
            name, str(len(chosen)),
            *(spread([s.time_to(GAP) for s in side], "{:.1f}") for side in (ours, judge)),
            *(spread([s.gap_at(10.0) for s in side if s.status == "plan"], "{:.2%}")
              for side in (ours, judge)),
            str(sum(slower(a, b) for a, b in zip(ours, judge, strict=True))),
            f"{max(s.seconds for s in ours):.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(line(row) for row in rows if row["verdict"] not in {"ok"})]
    return "\n".join(lines) + "\n"


def slower(ours: Side, judge: Side) -> bool:
    """Later at 0.5 % by more than a second and a quarter, or further off at the end."""
    mine, theirs = ours.time_to(GAP), judge.time_to(GAP)
    return mine > 1.25 * theirs + 1.0


def spread(values: Sequence[float], form: str) -> str:
    """Median and worst."""
    if not values:
        return "-"
    return " / ".join(
        "never" if v == float("inf") else form.format(v) for v in (median(values), max(values))
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of instance folders")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("corpus.jsonl"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="names of fleets")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    args = parser.parse_args()
    folders = sorted(f.parent for f in args.folder.glob("*/instance.toml"))
    if args.only:
        folders = [f for f in folders if f.name in args.only]
    known = read_results(args.results)
    warm()
    left = [f for f in folders if f.name not in known]
    context = multiprocessing.get_context("fork")
    with (
        args.results.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(args.jobs, mp_context=context) as pool,
    ):
        asked = [pool.submit(compared, f, args.seconds, args.threads, args.clock) for f in left]
        for done in as_completed(asked):
            row = done.result()
            known[row["fleet"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(line(row), flush=True)
    rows = [known[f.name] for f in folders]
    text = summary(rows, args.seconds, args.threads)
    print("\n" + text)
    if args.page:
        args.page.write_text(text, encoding="utf-8")
    return int(any(row["verdict"] not in {"ok", "open"} for row in rows))


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Fleet -> its line."""
    if not file.exists():
        return {}
    rows = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    return {row["fleet"]: row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
