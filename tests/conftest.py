"""Makes the shared helpers importable as ``tests.fleet_examples`` however pytest is started.

The repository root must come before this folder, whose `models` and `planner` mirror the packages.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
