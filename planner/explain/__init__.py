"""Explanation of plans: why each choice, what insisting on another costs, what would change it.

    wishes.py      "workload=..., adaptation=..., region=..." and what it leaves of the candidates
    restrict.py    candidates with fewer routes and purchases
    prices.py      the proof of a plan as prices that bound any restriction of it
    carry.py       a plan's decisions carried over to other candidates
    bench.py       forced re-solves: bound, plan, independent check
    reasons.py     why a combination is no candidate, with its own numbers
    limits.py      what a plan uses of every limit
    choices.py     each choice with its limit, its runner-up and the price of insisting
    tags.py        price tags of limits: finite differences
    flips.py       where a verdict turns, by bisection
    breakeven.py   retrieval against fine-tuning, workload by workload
    thresholds.py  where the plan's choices stop being the best
    results.py     what comes out, plain and frozen
    study.py       everything in order, within a time limit
    store.py       results beside their run
    said.py        results in words; html.py in a notebook

Every price is an interval: forced bound less plan value, to forced value less plan bound. Both
plans are checked independently; both bounds are proved.
"""
