"""Only composition roots read the settings; everything below takes plain arguments."""

import ast


def called_names(module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            target = node.func
            yield target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")


def is_root(name):
    """A DAG or plugin callable, a job's main or a builder under ray_apps, a command line."""
    package = name.split(".")[0]
    return package in ("dags", "plugins", "ray_apps") or name in (
        "evaluation.command",
        "include.quarry.__main__",
        "include.quarry.settings",
    )


def test_only_composition_roots_load_the_settings(product):
    readers = [module.name for module in product if "load_settings" in called_names(module)]
    assert readers
    assert [name for name in readers if not is_root(name)] == []


def test_nobody_reads_quarry_variables_past_the_settings(library):
    offenders = [
        module.name
        for module in library
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Subscript)
        and "environ" in ast.dump(node.value)
        and isinstance(node.slice, ast.Constant)
        and str(node.slice.value).startswith("QUARRY_")
    ]
    assert offenders == []
