"""Which statements of a notebook a piece of code needs, so that a task or a check runs without the rest of its notebook."""

import ast
import builtins
import re
import symtable

#: What is taken of a learner's cell; the call of the check, prints and plots are not run.
DEFINITIONS = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign


def statements(source: str) -> list[ast.stmt]:
    """The statements of a cell without its magics, imports split into one for each name. Raises SyntaxError."""
    found = []
    for node in ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M)).body:
        if isinstance(node, ast.Import):
            found += [ast.Import([alias]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [ast.ImportFrom(node.module, [alias], node.level) for alias in node.names]
        else:
            found.append(node)
    return found


def definitions(source: str) -> list[ast.stmt]:
    """The imports, functions, classes and assignments of a cell."""
    return [node for node in statements(source) if isinstance(node, DEFINITIONS)]


def binds(node: ast.stmt) -> set[str]:
    """The names of the notebook that a statement sets."""
    return {symbol.get_name() for symbol in _table(node).get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def reads(node: ast.stmt) -> set[str]:
    """The names of the notebook that a statement reads before it has set them itself, also from within its functions."""
    match node:
        case ast.For():
            return _named(node.iter) | reads_in_order(node.body) - _stored(node.target) | reads_in_order(node.orelse)
        case ast.With():
            targets = set().union(*(_stored(item.optional_vars) for item in node.items if item.optional_vars))
            return set().union(*(_named(item.context_expr) for item in node.items)) | reads_in_order(node.body) - targets
        case ast.If() | ast.While():
            return _named(node.test) | reads_in_order(node.body) | reads_in_order(node.orelse)
        case ast.AugAssign():
            return _named(node) | _stored(node.target)
    return _named(node)


def reads_in_order(nodes: list[ast.stmt]) -> set[str]:
    """The names that statements, run one after the other, read from before them."""
    found: set[str] = set()
    for node in reversed(nodes):
        found = found - _surely_binds(node) | reads(node)
    return found


def changes(node: ast.stmt) -> set[str]:
    """The names whose objects a statement may change: it calls a method of theirs, as ``model.eval()``, or sets a part of them."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return set()
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            found.add(_root(inner.value.func))
        elif isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(inner.ctx, ast.Store):
            found.add(_root(inner))
    return found


def needed(before: list[ast.stmt], code: list[ast.stmt]) -> list[ast.stmt]:
    """Those of the statements ``before`` that make what ``code`` reads, in their order."""
    inside = {node.name: reads(node) for node in before if isinstance(node, ast.FunctionDef)}  # read where it is called
    wanted, taken = _with_calls(reads_in_order(code), inside), []
    for node in reversed(before):
        if (binds(node) | changes(node)) & wanted:
            now = _at_once(node) if isinstance(node, ast.FunctionDef) else reads(node)
            wanted = wanted - _surely_binds(node) | _with_calls(now, inside)
            taken.append(node)
    return taken[::-1]


def _with_calls(wanted: set[str], inside: dict[str, set[str]]) -> set[str]:
    """The names, and what the functions among them read."""
    todo = list(wanted)
    while todo:
        more = inside.get(todo.pop(), set()) - wanted
        wanted = wanted | more
        todo += more
    return wanted


def _at_once(node: ast.FunctionDef) -> set[str]:
    """The names that a function reads when it is defined."""
    arguments = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
    return set().union(*map(_named, [*node.decorator_list, *arguments]))


def _surely_binds(node: ast.stmt) -> set[str]:
    """What is set whichever way a statement goes."""
    return binds(node) if isinstance(node, DEFINITIONS | ast.With) else set()


def _named(node: ast.AST) -> set[str]:
    """All names of the notebook that stand in a piece of code to be read."""
    found, tables = set(), [_table(node)]
    while tables:
        table = tables.pop()
        outside = [s for s in table.get_symbols() if s.is_referenced() and (s.is_global() or table.get_type() == "module")]
        found |= {symbol.get_name() for symbol in outside}
        tables += table.get_children()
    return found - vars(builtins).keys()


def _stored(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def _table(node: ast.AST) -> symtable.SymbolTable:
    return symtable.symtable(ast.unparse(node), "a notebook", "exec")


def _root(node: ast.expr) -> str:
    """The name at the left end of ``name.part[0].method``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
