"""Re-planning: keep what runs today, or change it, by a proved interval.

current.py    what runs today, read from where people keep it
prepare.py    today's data with what runs today as the incumbent
standing.py   the running plan as it stands today
search.py     the best that keeps what was decided, and the best change
rule.py       the interval of the regret, the threshold, the verdict
check.py      everything in order
stages.py     the order of the move, every step checked
fronts.py     what became of the front that the plan was chosen from
decision.py   what was concluded, frozen; folder.py its run folder
cycle.py      a check as the cycle of `planner watch`
said.py       a check in words; html.py in a notebook
"""
