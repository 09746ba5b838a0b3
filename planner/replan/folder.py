"""The run folder of a check: the run of the proposed plan, and what it was weighed against.

::

    runs/<name>-replan-<timestamp>/
      decision.json        what was concluded, and every figure that it rests on
      plan.json ...        the proposed plan: an ordinary run folder with its proof
      instance/            today's data, with what runs today in incumbent/
      keep/                the best plan that keeps what was decided, with its proof
      stages/01/ ...       of a move: while both serve (overlap.json) and after (plan.json)

A folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from planner.api import Answer
from planner.errors import RunError
from planner.incumbent import files_of
from planner.instance.copy import INCUMBENT
from planner.plan import Plan
from planner.replan.decision import FILE_NAME, Decision
from planner.replan.stages import Stage
from planner.runs import (
    CERTIFICATE,
    INSTANCE,
    PLAN,
    REQUEST,
    Run,
    check_place,
    new_folder,
    write_files,
)

KEEP, STAGES, OVERLAP = "keep", "stages", "overlap.json"


@dataclass(frozen=True)
class CheckRun:
    """A check's folder in the making."""

    folder: Path
    """where it will be"""
    draft: Path

    @property
    def instance(self) -> Path:
        """Where the instance of the check is written, and stays until the run is."""
        return self.draft / INSTANCE

    @property
    def current_sha256(self) -> str:
        """Hash of what runs today."""
        place = self.instance / INCUMBENT
        total = hashlib.sha256()
        for name, path in sorted(files_of(place).items()):
            total.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def write(
        self,
        decision: Decision,
        kept: Answer | None,
        proposed: Answer,
        stages: Sequence[Stage],
    ) -> Path:
        """Fill the draft and put it in its place."""
        try:
            write_files(self.draft, proposed)
            (self.draft / FILE_NAME).write_text(decision.to_json(), encoding="utf-8")
            if kept is not None:
                _write_plan(self.draft / KEEP, kept)
            for stage in stages:
                place = self.draft / stage.record.folder
                place.mkdir(parents=True)
                (place / PLAN).write_text(stage.after.to_json(), encoding="utf-8")
                if stage.overlap is not None:
                    (place / OVERLAP).write_text(stage.overlap.to_json(), encoding="utf-8")
            if self.folder.exists():
                self.folder.replace(self.draft.parent / "old")
            self.draft.replace(self.folder)
        except OSError as error:
            raise RunError(f"cannot write {self.folder}: {error.strerror or error}") from error
        return self.folder


@contextmanager
def new_run(instance: Path, output: Path | None) -> Iterator[CheckRun]:
    """A place for the run of a check; nothing is left where the check fails."""
    folder = (output or new_folder(f"{instance.resolve().name}-replan")).absolute()
    check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    with scratch as name:
        draft = Path(name) / "run"
        draft.mkdir()
        yield CheckRun(folder, draft)


def _write_plan(folder: Path, found: Answer) -> None:
    """A plan with its request and proof; its instance is the run's."""
    folder.mkdir()
    (folder / PLAN).write_text(found.plan.to_json(), encoding="utf-8")
    request = json.dumps(asdict(found.request), indent=1)
    (folder / REQUEST).write_text(request, encoding="utf-8")
    found.proof.save(folder / CERTIFICATE)


# ------------------------------------------------------------------ reading back


def read_kept(folder: Path) -> Run | None:
    """The plan that keeps what was decided, as a run on the check's instance."""
    place = folder / KEEP
    if not place.is_dir():
        return None
    from planner.api import Request

    try:
        request = Request(**json.loads((place / REQUEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{place / REQUEST} is damaged: {error}") from error
    return Run(place, Plan.read(place), request)


def is_check(folder: Path) -> bool:
    """Whether a run folder is that of a check."""
    return (folder / FILE_NAME).is_file()


def stage_plans(folder: Path, decision: Decision) -> Iterator[tuple[str, Plan]]:
    """(name, plan) of every stage, while both serve and after."""
    for record in decision.stages:
        place = folder / record.folder
        if (place / OVERLAP).is_file():
            yield f"{record.folder} while both serve", Plan.read(place / OVERLAP)
        yield f"{record.folder} after", Plan.read(place / PLAN)
