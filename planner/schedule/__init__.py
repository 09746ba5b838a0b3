"""Re-planning on a schedule: one cycle at a time, whoever starts it; nothing is applied by itself.

A *cycle* (`cycle`) decides whether the plan in force should be kept. `body` runs one under a lock
and records it; `loop` calls that when the `timetable` says so, and cron, systemd timers or a
Kubernetes CronJob may do the same. All state is in the history.
"""
