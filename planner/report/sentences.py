"""What the report says in full sentences: the decision asked for, the proof, the warnings.

A director reads the first of each pair; the engineer's version carries every number of the proof.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.answer.words import amount, number, percent, proof_said
from planner.report.options import Option
from planner.report.source import Source

UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "of QoE lost"}
COUNTS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Proof:
    """The certificate in a sentence, and every number behind it."""

    sentence: str
    """for a director"""
    details: tuple[str, ...]
    """for an engineer"""


def period(source: Source) -> str:
    """``728 h from 1 September 2026``."""
    settings = source.facts.instance.settings
    start = settings.period.start
    return f"{settings.period.hours:g} h from {start.day} {start:%B %Y}"


def decision(source: Source, options: tuple[Option, ...]) -> str:
    """What is asked of the reader, as a headline."""
    proposed = [option for option in options if option.point != "current"]
    if source.front is None:
        return f"Approve this fleet plan for {source.name}"
    count = len(proposed)
    if count == 1:
        return f"Approve the one plan found for {source.name}"
    return f"Choose one of {COUNTS[count]} fleet plans for {source.name}"


def lead(source: Source, options: tuple[Option, ...]) -> str:
    """What there is to choose from, with its range."""
    if source.front is None:
        o = source.first_plan.objectives
        return (
            f"{amount(o.cost_usd, 'USD')}, {amount(o.carbon_kgco2e, 'kgCO2e')} and QoE "
            f"{o.qoe:.4f} in {period(source)}."
        )
    ideal, nadir = source.front.ideal, source.front.nadir
    count = len(source.front.points)
    return (
        f"{count} plans were found for {period(source)}: {number(ideal.cost_usd)} to "
        f"{amount(nadir.cost_usd, 'USD')}, {number(ideal.carbon_kgco2e)} to "
        f"{amount(nadir.carbon_kgco2e, 'kgCO2e')}, QoE {nadir.qoe:.4f} to {ideal.qoe:.4f}. "
        + _moves(options)
    )


def _moves(options: tuple[Option, ...]) -> str:
    """What going from the cheapest to the other ends costs and brings."""
    by_name = {name: option.objectives for option in options for name in option.names}
    cheap, green, good = (by_name[name] for name in ("cheapest", "greenest", "best QoE"))
    said = []
    if green is not cheap:
        said.append(
            f"to the greenest costs {amount(green.cost_usd - cheap.cost_usd, 'USD')} more and "
            f"avoids {amount(cheap.carbon_kgco2e - green.carbon_kgco2e, 'kgCO2e')}"
        )
    if good is not cheap:
        said.append(
            f"to the best QoE {'' if said else 'costs '}"
            f"{amount(good.cost_usd - cheap.cost_usd, 'USD')} more for {good.qoe - cheap.qoe:.4f} "
            f"of QoE"
        )
    return f"Going from the cheapest plan {'; '.join(said)}." if said else ""


def proof(source: Source) -> Proof:
    """What is proved, for both readers."""
    return _front_proof(source) if source.front is not None else _plan_proof(source)


def _front_proof(source: Source) -> Proof:
    assert source.front is not None
    front, certificate = source.front, source.front.certificate
    reference = certificate.hypervolume.reference
    median, most = certificate.cost_gap_relative_median, certificate.cost_gap_relative_max
    if certificate.epsilon is None:
        sentence = "Nothing is proved yet about plans that are not listed here."
    else:
        cost, carbon, qoe = (float(e) for e in certificate.epsilon * front.measures)
        sentence = (
            f"Proved: whatever other plan there may be, one listed here is at most "
            f"{amount(cost, 'USD')} dearer, emits at most {amount(carbon, 'kgCO2e')} more and "
            f"has at most {qoe:.4f} less QoE than it ({percent(certificate.epsilon)} of each "
            f"range)."
        )
    if median is not None and most is not None:
        sentence += (
            f" At unchanged carbon and QoE a listed plan could be at most {percent(median)} "
            f"cheaper in the median, {percent(most)} at worst."
        )
    boxes = f"and {len(certificate.boxes)} boxes " if certificate.boxes else ""
    details = [
        f"Method: {certificate.method}. {len(front.points)} plans inside, "
        f"{len(certificate.cuts)} cuts {boxes}outside, {front.solves} solves in "
        f"{front.elapsed_s:,.0f} s, seed {front.seed}.",
        "A cut states that cost, carbon and lost QoE, weighted, are at least a level in every plan "
        "of the program; each level was proved again from its dual prices by an independent "
        "checker that shares no code with the search.",
        f"Said of plans below {amount(reference.cost_usd, 'USD')} and "
        f"{amount(reference.carbon_kgco2e, 'kgCO2e')}, above QoE {reference.qoe:.4f}.",
    ]
    missing = certificate.hypervolume.missing
    if missing is not None:
        details.append(f"At most {percent(missing)} of the true front's hypervolume is missing.")
    details.append(f"Check everything again: planner verify {source.folder.name} --all")
    return Proof(sentence, tuple(details))


def _plan_proof(source: Source) -> Proof:
    certificate = source.first_plan.certificate
    unit = UNITS[certificate.minimised]
    what = {"cost": "costs less than", "carbon": "emits less than", "qoe-loss": "loses less than"}
    if certificate.status == "unproved":
        sentence = "Nothing is proved about other plans."
    else:
        sentence = (
            f"Proved: no plan under the same rules {what[certificate.minimised]} "
            f"{amount(certificate.bound, unit)}; this one is within "
            f"{percent(certificate.gap_relative)} of the best possible."
        )
    details = (
        f"Minimised: {certificate.minimised}. Value {certificate.value:,.6g} {unit}, bound "
        f"{certificate.bound:,.6g} {unit}, gap {percent(certificate.gap_relative)} of the value; "
        f"proof by {certificate.proof}; status {certificate.status}.",
        "Every rule and every figure was recomputed from the instance by an independent checker "
        f"that shares no code with the search. {proof_said(certificate)}",
        f"Check everything again: planner verify {source.folder.name}",
    )
    return Proof(sentence, details)


SCOPE = (
    "The proof is about the program and its data. It does not say that prices, demand, speeds and "
    "quality figures will hold; how each of them is known is told under Data."
)


def warnings(source: Source) -> list[str]:
    """What the reader must know before the figures: truncated, stopped, not re-costed."""
    said = []
    if source.front is not None and not source.front.certificate.complete:
        target = source.request.get("epsilon")
        aim = f" of {percent(float(target))}" if isinstance(target, int | float) else ""
        said.append(
            f"The front is not complete: the search stopped before its target{aim} was proved, so "
            f"better plans may exist. `planner front --resume {source.folder.name}` goes on."
        )
    if source.front is None and source.first_plan.certificate.status != "optimal":
        said.append(
            "The search stopped at a limit before the gap asked for was proved. A longer "
            "`planner plan --time-limit` narrows it."
        )
    if source.current is not None and not source.current.same_instance:
        said.append(
            f"The current plan ({source.current.named}) is shown with the figures of its own "
            f"instance and date; it was not costed again with the data of this run."
        )
    return said


def explain_command(source: Source, option: Option) -> str:
    """The command that tests what would change the answer."""
    point = "" if source.front is None else f" --point {option.point}"
    return f"planner explain {source.folder.name}{point} --thresholds"


def command(source: Source) -> str:
    """The command that makes the run again."""
    request = source.request
    if source.front is not None:
        options = {
            "--epsilon": "epsilon",
            "--time-limit": "time_limit_s",
            "--workers": "workers",
            "--seed": "seed",
        }
        asked = [f"{flag} {request[key]:g}" for flag, key in options.items() if key in request]
        return " ".join(["planner front", f"{source.folder.name}/instance", *asked])
    asked = [] if request.get("minimize") is None else [f"--minimize {request['minimize']}"]
    asked += [f"--cap {name}={value:g}" for name, value in request.get("caps", {}).items()]
    asked += [f"--floor {name}={value:g}" for name, value in request.get("floors", {}).items()]
    asked += [f"--gap {request['gap']:g}", f"--time-limit {request['time_limit_s']:g}"]
    return " ".join(["planner plan", f"{source.folder.name}/instance", *asked])
