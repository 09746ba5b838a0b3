"""Comparison of plans, fronts and instances: what differs, by how much, and why.

sides.py      what is compared: run folders, points of a front, instance folders
recost.py     the decisions of a plan under other facts: totals, and what breaks
kinds.py      facts with one kind of data replaced by another instance's
effects.py    a change of totals split by cause; the parts add up exactly
decisions.py  fleet, adaptation and regions that differ
data.py       tables, rows and figures that differ
plans.py      two plans; fronts.py two fronts; instances.py two instance folders
compare.py    any two of a kind
said.py       results as rows and sentences; words.py rounding that still adds up
html.py       results in a notebook; markup.py plain HTML
"""
