"""Makes the shared helpers importable as ``tests.fleet_examples`` however pytest is started.

The repository root must come before this folder, whose `models` and `planner` mirror the packages.
"""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# A slow or busy machine is no failure, and the same examples on every run are no surprise.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
