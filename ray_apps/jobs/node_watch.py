"""Which nodes a job had, of which class, for how long, and how they went: the ground of what it cost."""

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RaySystemError

logger = logging.getLogger(__name__)
CLASS_LABEL = "ray.io/market-type"
"""Ray's own label; a node has it from `ray start --labels`, or from RAY_NODE_MARKET_TYPE in its environment."""
_LOOK_EVERY_S = 1.0
_IN_GOOD_ORDER = (1, 3, 4)  # of NodeDeathInfo.Reason in Ray's gcs.proto: ended as expected, preempted, idle
_HEAD = "node:__internal_head__"


@dataclass(slots=True)
class NodeUse:
    """Node-seconds by class, and how many nodes came, were lost without a word, or left in good order."""

    seconds: dict[str, float] = field(default_factory=dict)
    joined: int = 0
    lost: int = 0
    left: int = 0

    def add(self, other: "NodeUse") -> None:
        """Count another attempt's use as well."""
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.joined += other.joined
        self.lost += other.lost
        self.left += other.left


def node_class(node: dict[str, Any]) -> str:
    """`head`, what the node's label says (`spot`, `on-demand`), or `unlabelled`."""
    if _HEAD in node["Resources"]:
        return "head"
    return str(node["Labels"].get(CLASS_LABEL, "unlabelled"))


class NodeWatch:
    """Looks at the cluster every second while the block runs, and writes what it saw to a file as it goes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._use = NodeUse()
        self._gone: set[str] = set()
        self._alive: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="node-watch", daemon=True)

    def __enter__(self) -> None:
        self._gone = {node["NodeID"] for node in _nodes() if not node["Alive"]}  # before this job: not its loss
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        looked_at = time.monotonic()
        while True:
            stopped = self._stopped.wait(_LOOK_EVERY_S)
            now = time.monotonic()
            try:
                self._look(now - looked_at)
            except RaySystemError:
                logger.warning("the cluster does not say which nodes it has; looking again", exc_info=True)
            looked_at = now
            if stopped:
                return

    def _look(self, seconds: float) -> None:
        for node in _nodes():
            name = node["NodeID"]
            if node["Alive"]:
                self._use.add(NodeUse({node_class(node): seconds}, joined=name not in self._alive))
                self._alive.add(name)
            elif name not in self._gone:
                self._gone.add(name)
                in_good_order = node["DeathReason"] in _IN_GOOD_ORDER
                self._use.add(NodeUse(lost=not in_good_order, left=in_good_order))
        draft = self._path.with_suffix(".writing")
        draft.write_text(json.dumps(asdict(self._use)))
        draft.rename(self._path)


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def read_node_use(folder: Path) -> NodeUse:
    """The use of all attempts below the folder."""
    use = NodeUse()
    for path in folder.rglob("nodes.json"):
        use.add(NodeUse(**json.loads(path.read_text())))
    return use
