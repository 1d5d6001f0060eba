"""What the architecture tests look at: the tracked Python files and what each imports."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    path: Path
    name: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @property
    def imports(self) -> set[str]:
        """Dotted names of everything imported anywhere in the file; `from a.b import c` gives `a.b` and `a.b.c`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{self.path} imports relatively; an import path is the path on disk"
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return found

    def reaches(self, package: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for name in self.imports)


def modules_under(*folders: str) -> list[Module]:
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(Module(path, ".".join(part for part in parts if part != "__init__")))
    return found


def top_level_entries() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split("/", 1)[0] for line in listed.splitlines()}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def library() -> list[Module]:
    return modules_under("include/quarry")


@pytest.fixture(scope="session")
def product() -> list[Module]:
    return modules_under("include", "evaluation", "ray_apps", "plugins", "dags")


@pytest.fixture(scope="session")
def tracked_top_level() -> set[str]:
    return top_level_entries()
