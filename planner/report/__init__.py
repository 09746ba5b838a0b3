"""The report: one page that leadership reads, its brief, and the tables behind both.

``planner.report(run_folder)`` is the function of `planner.api`; the modules here are read in this
order: `source` (what lies in the run folder), `options`, `plan_view` and `trade` (what is said),
`figures`, `picture` and `tables` (how it is shown), `render`, `brief`, `workbook` and `files`
(what is written). Nothing here decides or solves.
"""
