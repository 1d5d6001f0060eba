"""What lies where, and how it may be named."""

import ast

from pathspec import GitIgnoreSpec

from include.quarry.settings import Settings

FOLDERS = {"dags", "ray_apps", "plugins", "evaluation", "include", "tests"}
FILES = {
    "docker-compose.airflow.yml",
    "requirements.txt",
    "requirements.in",
    "requirements-gpu.txt",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "pyproject.toml",
    ".ci",
    ".dockerignore",
    ".env.example",
    ".gitignore",
}
FORBIDDEN_STEMS = {"utils", "util", "common", "core", "helpers", "helper", "manager", "misc"}


def test_the_top_level_is_fixed(tracked_top_level):
    assert tracked_top_level >= FOLDERS
    assert tracked_top_level - FOLDERS - FILES == set()


def test_no_module_has_a_name_that_says_nothing(product):
    stems = {part for module in product for part in module.name.split(".")}
    assert stems & FORBIDDEN_STEMS == set()


def test_packages_hold_no_code(product):
    for module in product:
        if module.path.name == "__init__.py":
            rest = [node for node in module.tree.body if not isinstance(node, ast.Expr)]
            assert rest == [], module.path


def test_a_file_stays_small_enough_to_hold_one_idea(product):
    long = {m.name: len(m.path.read_text().splitlines()) for m in product}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_dag_files_are_tables_of_contents(root):
    for path in (root / "dags").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 120, path
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_plugins_and_dags_do_not_share_a_stem(root):
    stems = [path.stem for folder in ("dags", "plugins") for path in (root / folder).glob("*.py")]
    assert sorted(stems) == sorted(set(stems))


def test_airflow_runs_the_registration_and_no_other_plugin_file(root):
    ignored = GitIgnoreSpec.from_lines((root / "plugins" / ".airflowignore").read_text().splitlines())
    run = {path.name for path in (root / "plugins").glob("*.py") if not ignored.match_file(path.name)}
    assert run == {"quarry_plugin.py"}


def test_every_setting_is_in_the_example(root):
    lines = (root / ".env.example").read_text().splitlines()
    listed = dict(line.lstrip("#").split("=", 1) for line in lines if line.lstrip("#").startswith("QUARRY_"))
    fields = Settings.model_fields
    assert set(listed) == {f"QUARRY_{name.upper()}" for name in fields}
    for name, field in fields.items():
        assert listed[f"QUARRY_{name.upper()}"] == str(field.default), name
        assert field.description, f"{name} needs a description"


def test_pins_are_exact_and_without_local_versions(root):
    pins = [line for line in (root / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert len(pins) > 250
    assert all("==" in pin and "+" not in pin for pin in pins)


def test_what_is_used_directly_is_pinned(root):
    pinned = {line.split("==")[0] for line in (root / "requirements.txt").read_text().splitlines()}
    lines = (line.split("#")[0].strip() for line in (root / "requirements.in").read_text().splitlines())
    wanted = {line.split("[")[0].split("=")[0].split("<")[0].strip().lower() for line in lines if line}
    assert wanted - pinned == set()
