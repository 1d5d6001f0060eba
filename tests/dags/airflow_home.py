"""Gives the test process an Airflow of its own: a temporary home, a migrated database, our Dags and plugins.

Airflow reads its configuration when it is first imported, so this must come before. Everything but the home's address
stands in its `airflow.cfg`, so that nothing leaks into processes that other tests start.
"""

import os
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_CONFIGURATION = f"""
[core]
dags_folder = {ROOT / "dags"}
plugins_folder = {ROOT / "plugins"}
load_examples = False
executor = LocalExecutor

[logging]
logging_level = WARNING
"""


def prepare_home() -> None:
    """Point this process at its own Airflow; the first call counts."""
    if str(ROOT / "plugins") not in sys.path:
        sys.path.append(str(ROOT / "plugins"))
    worker = f"quarry-airflow-{os.environ.get('PYTEST_XDIST_WORKER', 'only')}-"  # which get what the first process set
    if "airflow" in sys.modules or worker in os.environ.get("AIRFLOW_HOME", ""):
        return
    home = tempfile.mkdtemp(prefix=worker)
    (Path(home) / "airflow.cfg").write_text(_CONFIGURATION)
    os.environ["AIRFLOW_HOME"] = home


@cache
def migrate() -> None:
    """Create Airflow's tables, once a process."""
    from airflow.utils.db import initdb

    initdb()
