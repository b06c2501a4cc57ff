"""Rules that import-linter cannot express. Each returns the places to change, so that a broken copy can be tried."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contracts", "chassis", "gateway", "ordermill",
    "order_service", "inventory_service", "payment_service", "notification_service", "auth_service",
)  # fmt: skip
SERVICE_FILES = {"domain", "handlers", "routes", "schemas", "store", "tables", "settings", "main"}
FORBIDDEN_NAMES = {"service", "utils", "helpers", "common", "misc", "base", "manager", "core"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}
IMPURE_CALLS = CLOCKS | {"uuid4", "uuid7", "new_id", "random", "getenv", "open", "print"}
TRANSACTIONAL = {"begin", "begin_nested", "commit", "rollback"}
LONGEST_FILE = 250
LONGEST_FUNCTION = 30

Rule = Callable[[Path], list[str]]


def sources(root: Path) -> list[Path]:
    return sorted(p for package in PACKAGES for p in (root / package).rglob("*.py") if "migrations" not in p.parts)


def domains(root: Path) -> list[Path]:
    return [p for p in sources(root) if p.stem == "domain" or p.parent.name == "domain"]


def _where(root: Path, path: Path, line: int) -> str:
    return f"{path.relative_to(root)}:{line}"


def _calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""), node.lineno


def only_the_database_begins_and_commits(root: Path) -> list[str]:
    allowed = {root / "chassis/database.py", root / "chassis/migrations.py", root / "ordermill/setup.py"}
    return [
        _where(root, path, call.lineno)
        for path in sources(root)
        if path not in allowed
        for call in _awaited(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TRANSACTIONAL
    ]


def _awaited(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Await):
            yield node.value
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from (item.context_expr for item in node.items)


def domains_are_pure(root: Path) -> list[str]:
    found = []
    for path in domains(root):
        tree = ast.parse(path.read_text())
        found += [_where(root, path, line) for name, line in _calls(tree) if name in IMPURE_CALLS]
        waiting = (node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await))
        found += [_where(root, path, node.lineno) for node in waiting]
    return found


def files_fit_on_a_few_screens(root: Path) -> list[str]:
    return [
        _where(root, path, lines) for path in sources(root) if (lines := path.read_text().count("\n")) > LONGEST_FILE
    ]


def functions_fit_on_a_screen(root: Path) -> list[str]:
    return [
        f"{_where(root, path, node.lineno)} {node.name}"
        for path in sources(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]


def every_file_says_what_it_holds(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in sources(root)
        if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))
    ]


def names_say_something(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in sources(root) if path.stem in FORBIDDEN_NAMES]


def services_have_the_same_files(root: Path) -> list[str]:
    missing = []
    for service in (package for package in PACKAGES if package.endswith("_service")):
        there = {path.stem for path in (root / service).iterdir()}
        missing += [f"{service}: {name}" for name in sorted(SERVICE_FILES - there)]
    return missing


def only_keys_imports_jose(root: Path) -> list[str]:
    return [
        _where(root, path, node.lineno)
        for path in sources(root)
        if path != root / "chassis/keys.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom) and _imported(node).startswith("jose")
    ]


def no_module_is_looked_for_where_we_are(root: Path) -> list[str]:
    """`python -m` looks in the current folder first, and others may write there: `-P` ends that."""
    return [
        _where(root, path, node.lineno)
        for path in sources(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Tuple | ast.List | ast.Call) and _runs_a_module(node) and "'-P'" not in ast.dump(node)
    ]


def _runs_a_module(node: ast.Tuple | ast.List | ast.Call) -> bool:
    said = [ast.unparse(each) for each in (node.args if isinstance(node, ast.Call) else node.elts)]
    return {"sys.executable", "'-m'"} <= set(said)


def no_client_tells_a_proxy(root: Path) -> list[str]:
    """What goes from one process to another has tokens in it, and `http_proxy` may name anybody."""
    return [
        _where(root, path, node.lineno)
        for path in sources(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("AsyncClient")
        and not {word.arg for word in node.keywords} & {"trust_env", "transport"}
    ]


def neighbours_are_asked_within_bounds(root: Path) -> list[str]:
    """Whoever holds a process may answer without end: only what the operator types asks without bounds."""
    return [
        _where(root, path, line)
        for path in sources(root)
        if path != root / "chassis/neighbours.py" and not _is_typed(root, path)
        for name, line in _calls(ast.parse(path.read_text()))
        if name == "AsyncClient"
    ]


def _is_typed(root: Path, path: Path) -> bool:
    return path.is_relative_to(root / "ordermill") and path != root / "ordermill/host.py"


def _imported(node: ast.Import | ast.ImportFrom) -> str:
    return node.names[0].name if isinstance(node, ast.Import) else node.module or ""


def http_errors_are_made_in_the_chassis(root: Path) -> list[str]:
    return [
        _where(root, path, line)
        for path in sources(root)
        if not path.is_relative_to(root / "chassis")
        for name, line in _calls(ast.parse(path.read_text()))
        if name == "HTTPException"
    ]


def nothing_is_left_undone(root: Path) -> list[str]:
    marks = (
        r"\bTOD[O]\b",
        r"\bFIXM[E]\b",
        r"\bXX[X]\b",
        "NotImplementedErro[r]",
        "pragma: no cove[r]",
        r"pytest\.(mark\.)?ski[p]",
    )
    undone = re.compile("|".join(marks))
    files = [*sources(root), *sorted((root / "tests").rglob("*.py"))]
    return [
        _where(root, path, number)
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if undone.search(line)
    ]


RULES: tuple[Rule, ...] = (
    only_the_database_begins_and_commits,
    domains_are_pure,
    files_fit_on_a_few_screens,
    functions_fit_on_a_screen,
    every_file_says_what_it_holds,
    names_say_something,
    services_have_the_same_files,
    only_keys_imports_jose,
    no_module_is_looked_for_where_we_are,
    no_client_tells_a_proxy,
    neighbours_are_asked_within_bounds,
    http_errors_are_made_in_the_chassis,
    nothing_is_left_undone,
)
