"""Which processes belong to an installation, what memory they hold, and how they are ended for certain.

A process is ours when it carries our mark in its environment, names one of our folders in its command line, belongs to
the session that our supervisor opened, or is a child of one of these. (Ray and Airflow write titles over their
environment, so the mark alone does not find all.) A name alone is never enough: a stranger's haproxy is left alone.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from include.quarry.operations.installation import MARK, Installation
from include.quarry.operations.programs import PART


def processes_of(installation: Installation, part: str | None = None) -> set[psutil.Process]:
    """All living processes of the installation, or of one part of it; never this process or its ancestors."""
    spared = {process.pid for process in _lineage()}
    session = _session_of(installation) if part is None else None
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        if process.pid not in spared and _is_ours(process, installation, part, session):
            found |= {process, *_children(process)}
    return {process for process in found if process.pid not in spared and is_alive(process)}


def group_file(installation: Installation, part: str) -> Path:
    """Where a part notes the number of its process group."""
    return installation.run / f"{part}.group"


def group_of(installation: Installation, part: str) -> set[psutil.Process]:
    """What is left of the process group of the part's earlier life, titles or not; only within our own session."""
    session = _session_of(installation)
    try:
        group = int(group_file(installation, part).read_text())
    except (OSError, ValueError):
        return set()
    return {process for process in psutil.process_iter() if _is_member(process, group, session)}


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(processes: Iterable[psutil.Process], patience_s: float) -> set[psutil.Process]:
    """Ask the processes to end, after `patience_s` kill them, and return those that live nevertheless."""
    remaining = {process for process in processes if is_alive(process)}
    for wait_s, send in ((patience_s, psutil.Process.terminate), (5.0, psutil.Process.kill)):
        for process in remaining:
            try:
                send(process)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(remaining, timeout=wait_s)
        remaining = {process for process in alive if is_alive(process)}
        if not remaining:
            break
    return remaining


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory of the processes in bytes, pages that they share counted once (PSS) where the system tells."""
    return sum(_resident_bytes(process) for process in processes)


def describe(process: psutil.Process) -> str:
    """The pid and the command, for a message."""
    try:
        return f"pid {process.pid}: {' '.join(process.cmdline())[:160] or process.name()}"
    except psutil.Error:
        return f"pid {process.pid}"


def _is_ours(process: psutil.Process, installation: Installation, part: str | None, session: int | None) -> bool:
    try:
        if session is not None and os.getsid(process.pid) == session:
            return True
        environment = process.environ()
        if environment.get(MARK) == str(installation.home):
            return part in (None, environment.get(PART))
        return part is None and _names_our_folders(process.cmdline(), installation)
    except (psutil.Error, OSError):
        return False


def _names_our_folders(command: list[str], installation: Installation) -> bool:
    folders = (installation.run, installation.ray, installation.sockets, installation.airflow)
    words = [value for word in command for value in (word, word.partition("=")[2])]
    return any(Path(word).is_relative_to(folder) for word in words if word.startswith("/") for folder in folders)


def _is_member(process: psutil.Process, group: int, session: int | None) -> bool:
    try:
        return process.pid != os.getpid() and (os.getpgid(process.pid), os.getsid(process.pid)) == (group, session)
    except OSError:
        return False


def _session_of(installation: Installation) -> int | None:
    """The session that our supervisor leads or led; the number stays taken while any member of it lives."""
    try:
        session = int(installation.supervisor_pid.read_text())
        leader = psutil.Process(session)
        ours = str(installation.supervisor_conf) in leader.cmdline()
    except (OSError, ValueError):
        return None
    except psutil.Error:
        return session if installation.supervisor_pid.stat().st_mtime > psutil.boot_time() else None
    return session if ours else None


def _lineage() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.parents()]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _resident_bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
