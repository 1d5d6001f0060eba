"""The direction of dependencies: dags -> plugins -> include.quarry <- ray_apps, evaluation -> include.quarry."""

from graphlib import CycleError, TopologicalSorter

BOTTOM = {"include.quarry.errors", "include.quarry.records", "include.quarry.specs"}


def names(modules):
    return sorted(module.name for module in modules)


def under(modules, *prefixes):
    return [module for module in modules if module.name.split(".")[0] in prefixes]


def test_the_library_imports_neither_airflow_nor_ray_nor_mlflow(library):
    assert len(library) > 50
    for package in ("airflow", "ray", "mlflow"):
        assert names(module for module in library if module.reaches(package)) == []


def test_the_library_imports_none_of_its_users(library):
    for package in ("dags", "plugins", "ray_apps", "evaluation", "tests"):
        assert names(module for module in library if module.reaches(package)) == []


def test_mlflow_is_imported_by_the_tracking_module_only(product):
    assert names(module for module in product if module.reaches("mlflow")) == ["evaluation.tracking"]


def test_ray_is_imported_under_ray_apps_only(product):
    assert {module.name.split(".")[0] for module in product if module.reaches("ray")} == {"ray_apps"}


def test_airflow_is_imported_by_dags_and_plugins_only(product):
    assert {module.name.split(".")[0] for module in product if module.reaches("airflow")} == {"dags", "plugins"}


def test_dags_and_plugins_reach_ray_apps_and_evaluation_by_entrypoint_only(product):
    for package in ("ray_apps", "evaluation"):
        assert names(m for m in under(product, "dags", "plugins") if m.reaches(package)) == []


def test_evaluation_does_not_know_ray_apps(product):
    assert names(module for module in under(product, "evaluation") if module.reaches("ray_apps")) == []


def test_errors_records_and_specs_are_at_the_bottom(library):
    for module in library:
        if module.name in BOTTOM:
            ours = {name for name in module.imports if name.startswith("include.")}
            assert all(any(name.startswith(bottom) for bottom in BOTTOM) for name in ours), module.name


def test_ports_import_only_what_is_at_the_bottom(library):
    ports = [module for module in library if module.name.endswith(".protocol")]
    assert len(ports) >= 5
    for port in ports:
        ours = {name for name in port.imports if name.startswith("include.")}
        strangers = {name for name in ours if not any(name.startswith(bottom) for bottom in BOTTOM)}
        assert strangers == set(), port.name


def test_no_module_imports_itself_in_a_circle(product):
    known = {module.name for module in product}
    graph = {module.name: module.imports & known - {module.name} for module in product}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"import cycle: {' -> '.join(error.args[1])}") from error
