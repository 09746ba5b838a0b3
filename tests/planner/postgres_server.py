"""A real Postgres of its own for a test session: Debian's package, a temporary folder, no port."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

USER = "planner"
NUMBERS = itertools.count()
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "150",
    "shared_buffers": "32MB",
}


def programs() -> Path:
    """Folder of the newest server installed; it says what to install where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    assert elsewhere, "these tests need Postgres: apt-get install postgresql"
    return Path(elsewhere).parent


def owner() -> dict[str, object]:
    """Of the processes: Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    name = pwd.getpwnam("postgres")
    return {"user": name.pw_uid, "group": name.pw_gid, "extra_groups": []}


@contextmanager
def running_server() -> Iterator[Path]:
    """Folder of the socket of a server that runs until the end."""
    bin_folder, run_as = programs(), owner()
    folder = Path(tempfile.mkdtemp(prefix="planner-pg-", dir="/tmp"))
    if run_as:
        os.chown(folder, run_as["user"], run_as["group"])  # type: ignore[arg-type]
    data = folder / "data"

    def call(*words: str) -> None:
        subprocess.run(
            [str(bin_folder / words[0]), *words[1:]],
            check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **run_as,
        )  # type: ignore[call-overload]  # fmt: skip

    try:
        call("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "-N", "--locale=C")
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        options += f" -c unix_socket_directories='{folder}'"
        call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield folder
        finally:
            call("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_place(server: Path) -> str:
    """URL of an empty schema, as a user writes it: much quicker to make than a database."""
    name = f"history_{os.getpid()}_{next(NUMBERS)}"
    admin = create_engine(
        f"postgresql+psycopg://{USER}@/postgres?host={server}", isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    admin.dispose()
    return f"postgresql://{USER}@/postgres?host={server}&options=-csearch_path%3D{name}"
