"""Which actions and probes are installed, read from the source of the installed distributions.

Nothing is imported and nothing installed: importing an extension runs its code and pulls in its clients
(kubernetes, boto3), which takes seconds and may fail. The functions named in `__all__` of the modules
called `actions` or `probes` are what Chaos Toolkit itself discovers. One extension that cannot be read
takes no other along: it is named in `Found.troubles`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path

OURS = "gameday"
PASSED_ON = ("configuration", "secrets")  # Chaos Toolkit hands these over; a plan never gives them.
_NO_EXTENSIONS = frozenset({"chaostoolkit", "chaostoolkit-lib"})
_HELPERS = frozenset({"gameday.actions.faults"})  # Its `__all__` is for its neighbours.
_KINDS = {"actions": "action", "probes": "probe"}
_SIZE_MAX = 2_000_000
_HOPS_MAX = 3
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BY_IMPORTING = re.compile(r"\b(chaoslib|chaostoolkit-lib)\b")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an action, as its source writes it. `default` None: it must be given."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Offered:
    """One action or probe of an installed extension."""

    name: str
    kind: str  # action | probe
    extension: str
    doc: str
    arguments: tuple[Argument, ...]
    returns: str
    passed_on: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What it does, in one line."""
        return self.doc.partition("\n\n")[0].replace("\n", " ").strip()

    def argument(self, name: str) -> Argument | None:
        """Return an argument by name."""
        return next((found for found in self.arguments if found.name == name), None)


@dataclass(frozen=True, slots=True)
class Found:
    """All that is offered, by name, and what could not be read."""

    offered: tuple[Offered, ...]
    troubles: tuple[str, ...] = ()

    def get(self, name: str) -> Offered | None:
        """Return the action or probe with this dotted name."""
        return next((found for found in self.offered if found.name == name), None)


@dataclass(slots=True)
class _Reading:
    offered: list[Offered] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    known: dict[str, bool] = field(default_factory=dict)


def extensions() -> Found:
    """Return every action and probe of every extension installed in this environment."""
    reading = _Reading()
    for name, version, tops in _distributions(reading):
        label = f"{name} {version}"
        for top in tops:
            for folder in _folders(top, label, reading):
                _read_package(folder, label, reading)
    return _found(reading)


def read_package(folder: Path, label: str) -> Found:
    """Return what one extension's package offers.

    Args:
        folder: The package's folder, such as `…/chaosk8s`.
        label: What to call the extension: its distribution and version.
    """
    reading = _Reading()
    _read_package(folder, label, reading)
    return _found(reading)


def _found(reading: _Reading) -> Found:
    offered = {found.name: found for found in reading.offered}
    return Found(tuple(offered[name] for name in sorted(offered)), tuple(sorted(set(reading.troubles))))


def _distributions(reading: _Reading) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    seen: set[str] = set()
    for dist in metadata.distributions():
        try:
            name = re.sub(r"[-_.]+", "-", dist.metadata["Name"] or "").lower()
            if name in seen or name in _NO_EXTENSIONS or not _is_extension(name, dist.requires):
                continue
            seen.add(name)
            tops = _tops(dist) if name != OURS else (OURS,)
            yield name, dist.version, tops
        except Exception as error:  # noqa: BLE001 - foreign metadata may be broken in any way
            reading.troubles.append(f"{getattr(dist, '_path', dist)}: its metadata cannot be read: {error}")
    if OURS not in seen:
        yield OURS, "", (OURS,)


def _is_extension(name: str, requires: Iterable[str] | None) -> bool:
    """Tell it by its name, or by needing chaoslib."""
    return name == OURS or name.startswith("chaostoolkit-") or any(map(_BY_IMPORTING.search, requires or ()))


def _tops(dist: metadata.Distribution) -> tuple[str, ...]:
    said = (dist.read_text("top_level.txt") or "").split()
    if not said:
        paths = [path.parts for path in dist.files or () if path.suffix == ".py"]
        said = [parts[0] for parts in paths if len(parts) > 1]
    return tuple(sorted({top for top in said if top.isidentifier()}))


def _folders(top: str, label: str, reading: _Reading) -> tuple[Path, ...]:
    try:
        spec = util.find_spec(top)  # Finds a package; its code does not run.
    except (ImportError, ValueError, AttributeError) as error:
        spec = None
        reading.troubles.append(f"{label}: package {top} cannot be found: {error}")
    if spec is None or spec.submodule_search_locations is None:
        return ()
    return tuple(Path(place) for place in spec.submodule_search_locations)


def _read_package(folder: Path, label: str, reading: _Reading) -> None:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        place = next((part for part in reversed(parts) if part in _KINDS), None)
        module = ".".join((folder.name, *(parts[:-1] if parts[-1] == "__init__" else parts)))
        if place is None or module in _HELPERS:
            continue
        try:
            _read_module(folder, path, module, _KINDS[place], label, reading)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            said = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
            reading.troubles.append(f"{label}: {module} cannot be read: {said}")


def _read_module(folder: Path, path: Path, module: str, kind: str, label: str, reading: _Reading) -> None:
    tree = _tree(path)
    names = _exported(tree)
    if names is None:
        return  # Chaos Toolkit finds nothing in a module without `__all__`, either.
    lacking = _lacking(tree, reading)
    if names and lacking:
        reading.troubles.append(f"{label}: {module} needs {', '.join(lacking)}, which is not installed")
    for name in names:
        node = _function(tree, name, folder, _HOPS_MAX)
        if node is not None:
            reading.offered.append(_offered(node, f"{module}.{name}", kind, label))


def _tree(path: Path) -> ast.Module:
    if path.stat().st_size > _SIZE_MAX:
        raise ValueError(f"it is larger than {_SIZE_MAX} bytes")
    return ast.parse(path.read_bytes())


def _function(tree: ast.Module, name: str, folder: Path, hops: int) -> _Function | None:
    """Return a function of a module, or of the module of the same package that it was imported from."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and hops:
            if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
                return _function(tree, node.value.id, folder, hops - 1)
            continue
        if not isinstance(node, ast.ImportFrom) or node.level or not hops:
            continue
        real = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), None)
        top, _, rest = (node.module or "").partition(".")
        if real is None or top != folder.name:
            continue
        place = folder.joinpath(*rest.split("."))
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return _function(_tree(path), real, folder, hops - 1)
    return None


def _exported(tree: ast.Module) -> list[str] | None:
    """Return `__all__`; lists that are added to it count too. None when there is none."""
    names: list[str] | None = None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign) else targets
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            continue
        value = getattr(node, "value", None)
        texts = [
            part.value
            for part in ast.walk(value or ast.Constant(0))
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        names = [*(names or []), *texts] if isinstance(node, ast.AugAssign) else texts
    return names


def _lacking(tree: ast.Module, reading: _Reading) -> list[str]:
    """Return the packages that a module imports at its top and that are not installed."""
    tops: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            tops.add(node.module.partition(".")[0])
    for top in tops - set(reading.known):
        try:
            reading.known[top] = util.find_spec(top) is not None
        except (ImportError, ValueError):
            reading.known[top] = False
    return sorted(top for top in tops if not reading.known[top])


def _offered(node: _Function, name: str, kind: str, label: str) -> Offered:
    returns = ast.unparse(node.returns) if node.returns else ""
    if name.startswith(f"{OURS}.") and returns == "bool":
        kind = "probe"
    arguments = tuple(_arguments(node.args))
    return Offered(
        name=name,
        kind=kind,
        extension=label,
        doc=ast.get_docstring(node) or "",
        arguments=tuple(found for found in arguments if found.name not in PASSED_ON),
        returns=returns,
        passed_on=tuple(found.name for found in arguments if found.name in PASSED_ON),
    )


def _arguments(given: ast.arguments) -> Iterator[Argument]:
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    both = [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    for argument, default in both:
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        yield Argument(argument.arg, annotation, ast.unparse(default) if default else None)
