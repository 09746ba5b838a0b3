"""Write instances/FORMAT.md from the schema. Usage: python scripts/build_format.py [FILE]."""

from __future__ import annotations

import sys
from pathlib import Path

from planner.instance.dictionary import format_page

DEFAULT = Path(__file__).resolve().parent.parent / "instances" / "FORMAT.md"

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    target.write_text(format_page(), encoding="utf-8")
    print(f"{target}: {target.stat().st_size:,} bytes")
