"""What would change the answer: the thresholds that `planner explain --thresholds` stored."""

from __future__ import annotations
