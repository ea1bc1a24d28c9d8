"""What an import costs, and that imports inside the package point one way."""

import ast
from pathlib import Path

import pytest

import fastdigit

PACKAGE = Path(fastdigit.__file__).parent
HEAVY = ["numpy", "numba", "llvmlite", "pandas", "matplotlib", "tqdm", "safetensors", "PIL"]


def loaded_by(output_of, program):
    """Return the names of all modules that are loaded after a program ran."""
    return set(output_of(f"{program}\nimport sys\nprint(*sys.modules, sep='\\n')"))


def test_import_loads_nothing_heavy(output_of):
    loaded = loaded_by(output_of, "import fastdigit; fastdigit.__version__; dir(fastdigit)")
    assert "fastdigit" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_names_load_only_what_they_need(output_of):
    loaded = loaded_by(
        output_of, "from fastdigit import Network, Dataset, fit, History; Network([2, 2])"
    )
    assert "numpy" in loaded
    assert loaded.isdisjoint(set(HEAVY) - {"numpy"})


def test_the_reference_runs_without_a_compiler(output_of):
    loaded = loaded_by(
        output_of,
        "import numpy as np\n"
        "from fastdigit import Network, fit\n"
        "data = np.zeros((3, 2), np.uint8), [0, 1, 0]\n"
        "fit(Network([2, 2]), data, iterations=1, backend='numpy', progress=False)\n",
    )
    assert loaded.isdisjoint(set(HEAVY) - {"numpy"})


def test_public_names():
    for name in fastdigit.__all__:
        assert getattr(fastdigit, name) is not None
        assert name in dir(fastdigit)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastdigit.nonsense  # noqa: B018


# --- direction -----------------------------------------------------------------------------------


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module):
    """Return the full names that a module imports, anywhere in it but for type checkers alone."""
    path = MODULES[module]
    names = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".")
                depth = node.level - (path.name == "__init__.py")
                origin = ".".join([*package[: len(package) - depth], *filter(None, [node.module])])
            names.add(origin)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


def inside(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def own_imports(module):
    return {name for name in imports_of(module) if inside(name, "fastdigit")}


def within(*packages):
    return [module for module in MODULES if inside(module, *packages)]


def test_the_reader_of_imports_sees_them():
    assert inside("fastdigit.kernels.simd", "fastdigit.kernels")
    assert not inside("fastdigit.kernels_simd", "fastdigit.kernels")
    assert "fastdigit.kernels.simd" in imports_of("fastdigit.kernels.dense")
    assert "fastdigit.storage.save" in imports_of("fastdigit.network")
    assert len(MODULES) > 20


COMPILING = ("fastdigit.inner", "fastdigit.jit", "fastdigit.threads")


@pytest.mark.parametrize("module", within("fastdigit.data"))
def test_data_know_neither_networks_nor_kernels(module):
    allowed = ("fastdigit.data", "fastdigit.errors", *COMPILING)
    assert [name for name in own_imports(module) if not inside(name, *allowed)] == []


@pytest.mark.parametrize("module", within("fastdigit.kernels"))
def test_kernels_know_neither_data_nor_networks(module):
    allowed = ("fastdigit.kernels", "fastdigit.optimizers", "fastdigit.errors", *COMPILING)
    assert [name for name in own_imports(module) if not inside(name, *allowed)] == []


ABOVE = [
    "training",
    "notebook",
    "estimator",
    "cli",
    "measure",
    "reporting",
    "distributed",
    "export",
]

FORBIDDEN = {
    "fastdigit.errors": ["fastdigit."],
    "fastdigit.inner": ["fastdigit."],
    "fastdigit.interrupts": ["numpy", "numba", "fastdigit."],
    "fastdigit.jit": [
        name
        for name in MODULES
        if not (inside("fastdigit.inner", name) or inside("fastdigit.interrupts", name))
    ],
    "fastdigit.processors": ["numpy", "numba", "fastdigit."],
    "fastdigit.threads": ["fastdigit.data", "fastdigit.kernels", "fastdigit.jit"],
    "fastdigit.optimizers": ["fastdigit."],
    "fastdigit.kernels.reference": ["numba", "fastdigit."],
    "fastdigit.kernels.simd": ["fastdigit.kernels.dense", "fastdigit.kernels.sweep"],
    "fastdigit.kernels.dense": ["fastdigit.kernels.sweep"],
    "fastdigit.network": [*(f"fastdigit.{name}" for name in ABOVE), "fastdigit.history"],
    "fastdigit.storage": [f"fastdigit.{name}" for name in ABOVE],
    "fastdigit.history": [*(f"fastdigit.{name}" for name in ABOVE), "fastdigit.kernels"],
    "fastdigit.training": [f"fastdigit.{name}" for name in ABOVE if name != "training"],
    "fastdigit.measure": ["fastdigit.cli", "fastdigit.reporting"],
    "fastdigit.reporting": ["fastdigit.cli", "fastdigit.measure"],
    "fastdigit.notebook": ["fastdigit.cli", "fastdigit.measure", "fastdigit.reporting"],
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package):
    for module in within(package):
        wrong = {
            name
            for name in imports_of(module)
            for target in FORBIDDEN[package]
            if (name.startswith(target) if target.endswith(".") else inside(name, target))
        }
        assert wrong == set(), module


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_what_is_above_everything(module):
    targets = ["bench", "tests", "reports", "conftest", "pytest"]
    if not inside(module, "fastdigit.cli", "fastdigit.__main__"):
        targets.append("fastdigit.cli")
    assert [name for name in imports_of(module) if inside(name, *targets)] == []


@pytest.mark.parametrize("module", MODULES)
def test_no_pickle(module):
    assert imports_of(module).isdisjoint({"pickle", "marshal", "shelve", "dill", "joblib"})


def test_training_names_no_kernel():
    names = own_imports("fastdigit.training")
    assert not [name for name in names if name.startswith("fastdigit.kernels.n")]
