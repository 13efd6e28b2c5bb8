"""Does running a statement at import change anything besides the names that it binds?

One that may is an *effect* of its module: it belongs to everything that imports the module. One that certainly does
not is quiet: it belongs to whatever reaches a name that it binds or changes. What cannot be told counts as an effect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from filiera.code.bindings import DISPLAYS, changed_root, inner_names, inside, local_names, names_read, sets_itself
from filiera.code.known import CHANGING, CHANGING_BUILTINS, FRESH, QUIET_LIBRARIES, READ_ONLY, SEEDED
from filiera.code.libraries import is_standard
from filiera.code.modules import Definition, Module, Statement, at_import, chain_of, root_of
from filiera.code.project import Project
from filiera.code.resolve import Unit, resolve

_LOOKS = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Compare, ast.JoinedStr, ast.NamedExpr)


@dataclass(frozen=True, slots=True)
class Conduct:
    """What calling a function or class may do."""

    loud: bool = False  #: changes something that outlives the call
    mutates: bool = False  #: changes objects that it was given, or made


class Quiet:
    """Tells the effects of modules; answers are remembered."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._effects: dict[str, list[Statement]] = {}
        self._conduct: dict[tuple[str, str], Conduct] = {}

    def effects(self, module: Module) -> list[Statement]:
        """Statements of a module that are not certainly quiet, in order."""
        if module.name not in self._effects:
            self._effects[module.name] = [s for s in module.statements if not self._is_quiet(module, s)]
        return self._effects[module.name]

    def _is_quiet(self, module: Module, statement: Statement) -> bool:
        node = statement.node
        result = node.value if isinstance(node, ast.Expr) else None
        if result is not None and not isinstance(result, ast.Call):
            return isinstance(result, _LOOKS)
        inner = frozenset(inner_names(node))
        return all(self._step(module, statement, item, inner, item is result) for item in at_import(node))

    def _step(self, module: Module, statement: Statement, item: ast.AST, inner: frozenset[str], dropped: bool) -> bool:
        if isinstance(item, ast.Attribute | ast.Subscript) and not isinstance(item.ctx, ast.Load):
            return self._owns(module, statement, *root_of(item))
        if isinstance(item, ast.AugAssign) and isinstance(item.target, ast.Name):
            return self._owns(module, statement, item.target.id, 1)
        if isinstance(item, ast.Call):
            return self._call(module, statement, item, inner, dropped)
        if isinstance(item, ast.withitem):
            return isinstance(item.context_expr, ast.Call)
        if isinstance(item, ast.BinOp):
            return not any(
                isinstance(side, ast.Name) and self._is_made(module, side.id) for side in (item.left, item.right)
            )
        if isinstance(item, Definition):
            decorated = all(self._decorator(module, statement, each, inner) for each in item.decorator_list)
            return decorated and (not isinstance(item, ast.ClassDef) or self._class(module, item))
        return True

    # ---- who holds an object

    def _owns(self, module: Module, statement: Statement, root: str | None, depth: int) -> bool:
        """Whether the object behind a name of the module is held by that name only, so that a change is its own."""
        found = module.units.get(root or "", [])
        if root is None or not found or root in module.imports or found[0] is statement:
            return False
        if any(root in s.binds and not self._fresh(module, s, root) for s in found):
            return False
        return depth == 1 or not any(names_read(s.node) - {root} - module.imports.keys() for s in found)

    def _fresh(self, module: Module, statement: Statement, name: str) -> bool:
        node = statement.node
        if isinstance(node, Definition):
            return node.name == name and self._is_quiet(module, statement)
        if isinstance(node, ast.AugAssign):
            return True
        if isinstance(node, ast.Assign) and (len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name)):
            return False
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            return False
        value = node.value
        if isinstance(value, ast.Call):
            origins = module.origin(chain_of(value.func))
            return bool(origins) and all(origin in FRESH for origin in origins)
        return isinstance(value, DISPLAYS)

    # ---- calls

    def _looks(self, method: str) -> bool:
        """Whether a method only looks, whatever it belongs to."""
        return method in READ_ONLY and method not in self._project.methods

    def _call(self, module: Module, statement: Statement, call: ast.Call, inner: frozenset[str], dropped: bool) -> bool:
        chain = chain_of(call.func)
        if not chain:
            return self._call_of_value(module, statement, call.func)
        if chain[0] in inner:
            return len(chain) == 1 or self._looks(chain[-1])
        found = resolve(self._project, module, chain)
        if found.whole or not (found.units or found.outside or module.origin(chain)):
            return False
        outside = found.outside or ([] if found.units else module.origin(chain))
        mutates = False
        for unit in found.units:
            conduct = self._target(module, statement, unit)
            if conduct.loud:
                return False
            mutates = mutates or conduct.mutates
        return all(_library_is_quiet(name, dropped) for name in outside) and self._arguments(module, call, mutates)

    def _call_of_value(self, module: Module, statement: Statement, value: ast.expr) -> bool:
        """A method of an expression, or a call of what a call gave; the inner call is looked at by itself."""
        if isinstance(value, ast.Call):
            return bool(chain_of(value.func))
        if not isinstance(value, ast.Attribute):
            return False
        if self._looks(value.attr):
            return True
        base: ast.AST = value.value
        while isinstance(base, ast.Attribute | ast.Call):
            base = base.func if isinstance(base, ast.Call) else base.value
        if isinstance(base, ast.Constant | ast.JoinedStr):
            return True
        if isinstance(base, ast.Name) and not isinstance(value.value, ast.Subscript):
            found = resolve(self._project, module, [base.id])
            outside = bool(found.outside) or base.id not in module.units
            return outside and not found.units and not found.whole and not CHANGING.match(value.attr)
        return self._owns(module, statement, *root_of(value))

    def _target(self, module: Module, statement: Statement | None, unit: Unit) -> Conduct:
        """What calling a unit of the project, or a method of it, does."""
        home = self._project.source(unit.module)
        if home is None:
            return Conduct(loud=True)
        if unit.rest and not _defines(home, unit.name, ast.ClassDef):
            looks = self._looks(unit.rest[-1])
            owned = (
                statement is not None and home is module and self._owns(module, statement, unit.name, len(unit.rest))
            )
            return Conduct(loud=not looks and not owned)
        return self._conduct_of(home, unit.name)

    def _conduct_of(self, module: Module, name: str) -> Conduct:
        place = (module.name, name)
        if place not in self._conduct:
            self._conduct[place] = Conduct()  # a function that calls itself does no more for it
            parts = [self._conduct_by(module, s.node) for s in module.units.get(name, [])]
            mutates = any(part.mutates for part in parts)
            self._conduct[place] = Conduct(not parts or any(part.loud for part in parts), mutates)
        return self._conduct[place]

    def _conduct_by(self, module: Module, node: ast.stmt) -> Conduct:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or isinstance(value, ast.Lambda):
            return self._body(module, value or node)
        if isinstance(node, ast.ClassDef):
            bases = [self._base(module, base) for base in node.bases]
            body = self._body(module, node)
            shared = any(isinstance(s, ast.Assign) and not isinstance(s.value, ast.Constant) for s in node.body)
            return Conduct(body.loud or not all(bases) or (body.mutates and shared), body.mutates)
        if isinstance(value, ast.Call) and (made := self._made_by(module, value)):  # `triple = make(3)`, called later
            found = resolve(self._project, module, made)
            if found.units and not found.whole and not found.outside:
                return self._all(self._conduct_of(home, u.name) for u in found.units if (home := self._home(u)))
        return Conduct(loud=True)

    @staticmethod
    def _made_by(module: Module, call: ast.Call) -> list[str]:
        """What runs when the result of a call is called: the maker's inner function, or what `partial` was given."""
        partial = module.origin(chain_of(call.func)) == ["functools.partial"]
        return chain_of(call.args[0] if partial and call.args else call.func)

    def _home(self, unit: Unit) -> Module | None:
        return self._project.source(unit.module) if not unit.rest else None

    @staticmethod
    def _all(parts: Iterable[Conduct]) -> Conduct:
        found = list(parts)
        return Conduct(not found or any(p.loud for p in found), any(p.mutates for p in found))

    def _body(self, module: Module, node: ast.AST) -> Conduct:
        """What running a function, or any method of a class, may change."""
        local, fresh = local_names(node)
        mutates = reads = False
        for item in inside(node):
            if isinstance(item, ast.Global) or self._loads(module, item):
                return Conduct(loud=True)
            if isinstance(item, ast.Name) and item.id not in local and isinstance(item.ctx, ast.Load):
                if self._is_loud(module, item.id):  # it may be called by whoever gets it
                    return Conduct(loud=True)
                reads = reads or self._is_data(module, item.id)
            root = changed_root(item)
            told = root in local or (
                isinstance(item, ast.Call) and root in module.imports
            )  # `module.function()`: below
            if root == "cls" or (root is not None and not told and self._is_data(module, root)):
                return Conduct(loud=True)
            mutates = mutates or (root in local and root not in fresh and not sets_itself(item, node))
            if isinstance(item, ast.Call) and not self._inner_call(module, item, local):
                return Conduct(loud=True)
        return Conduct(mutates and reads, mutates)

    def _inner_call(self, module: Module, call: ast.Call, local: frozenset[str]) -> bool:
        chain = chain_of(call.func)
        if not chain:
            root, _ = root_of(call.func)
            return root is None or root in local or not self._is_data(module, root)
        if chain[0] in local:
            return True  # a parameter or a result: what it was given is looked at where it is called
        found = resolve(self._project, module, chain)
        if found.whole or any(self._target(module, None, unit).loud for unit in found.units):
            return False
        outside = found.outside or ([] if found.units else module.origin(chain))
        return all(_library_is_quiet(name, dropped=False) for name in outside)

    def _arguments(self, module: Module, call: ast.Call, mutates: bool) -> bool:
        """Functions that are handed over may be called; data that is handed over may be changed."""
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            for item in at_import(argument):
                if not isinstance(item, ast.Name) or item.id not in {*module.units, *module.imports}:
                    continue
                if mutates and self._is_data(module, item.id):
                    return False
                if self._is_loud(module, item.id):
                    return False
        return True

    def _is_loud(self, module: Module, name: str) -> bool:
        """Whether a name stands for a function or class of the project whose call may change something."""
        for unit in resolve(self._project, module, [name]).units:
            home = self._project.source(unit.module)
            if home is not None and _defines(home, unit.name) and self._conduct_of(home, unit.name).loud:
                return True
        return False

    def _is_data(self, module: Module, name: str) -> bool:
        """Whether a name stands for an object of the project that can be changed."""
        found = resolve(self._project, module, [name])
        if found.whole:
            return True
        for unit in found.units:
            home = self._project.source(unit.module)
            if home is None or not (_defines(home, unit.name) or _is_constant(home, unit.name)):
                return True
        return False

    def _is_made(self, module: Module, name: str) -> bool:
        """Whether a name stands for what code of the project made, whose operators may change something."""
        for unit in resolve(self._project, module, [name]).units:
            home = self._project.source(unit.module)
            if home is None:
                return True
            values = [getattr(statement.node, "value", None) for statement in home.units.get(unit.name, [])]
            made = [chain_of(value.func) for value in values if isinstance(value, ast.Call)]
            if any(chain and resolve(self._project, home, chain).units for chain in made):
                return self._conduct_of(home, unit.name).loud
        return False

    def _loads(self, module: Module, node: ast.AST) -> bool:
        """Whether an import statement runs modules of the project."""
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return False
        names, stars = module.imports_of(node)
        loaded = [item.loaded for found in names.values() for item in found]
        return any(self._project.module(name) is not None for name in (*loaded, *stars))

    # ---- definitions

    def _decorator(self, module: Module, statement: Statement, decorator: ast.expr, inner: frozenset[str]) -> bool:
        chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if not chain:
            return False
        if module.is_own(decorator) or (chain[0] in inner and chain[-1] in ("setter", "getter", "deleter")):
            return True
        found = resolve(self._project, module, chain)
        if found.whole or not (found.units or found.outside or module.origin(chain)):
            return False
        outside = found.outside or ([] if found.units else module.origin(chain))
        known = all(_top_is_quiet(name) and _library_is_quiet(name, dropped=False) for name in outside)
        return known and not any(self._target(module, statement, unit).loud for unit in found.units)

    def _class(self, module: Module, node: ast.ClassDef) -> bool:
        """Whether making a class tells nobody: no metaclass or `__init_subclass__` of the project or of a stranger."""
        names = [module.origin(chain_of(base)) for base in node.bases]
        standard = all(found and all(is_standard(o.split(".")[0]) for o in found) for found in names)
        for keyword in node.keywords if not standard or not node.bases else ():  # `class Row(TypedDict, total=False)`
            origins = module.origin(chain_of(keyword.value)) if keyword.arg == "metaclass" else []
            if not origins or not all(is_standard(origin.split(".")[0]) for origin in origins):
                return False
        return all(self._base(module, base) for base in node.bases)

    def _base(self, module: Module, base: ast.expr) -> bool:
        chain = chain_of(base.value if isinstance(base, ast.Subscript) else base)
        if not chain:
            return False
        found = resolve(self._project, module, chain)
        outside = found.outside or ([] if found.units else module.origin(chain))
        if found.whole or not (found.units or outside) or not all(map(_top_is_quiet, outside)):
            return False
        for unit in found.units:
            home = self._project.source(unit.module)
            nodes = [s.node for s in home.units[unit.name]] if home is not None and unit.name in home.units else []
            if home is None or not nodes or not all(isinstance(n, ast.ClassDef) for n in nodes):
                return False
            for each in nodes:
                assert isinstance(each, ast.ClassDef)
                hooks = any(
                    isinstance(part, ast.FunctionDef) and part.name == "__init_subclass__" for part in each.body
                )
                if hooks or not self._class(home, each):
                    return False
        return True


def _library_is_quiet(dotted: str, dropped: bool) -> bool:
    """Whether a call outside the project changes nothing; one whose result is dropped is made to change something."""
    top, last = dotted.split(".")[0], dotted.split(".")[-1]
    if top == "filiera":
        return True
    if top == "builtins":
        return last not in CHANGING_BUILTINS
    if dotted.startswith(("random.", "numpy.random.")):
        return dotted in SEEDED  # the next draw depends on this one
    return not dropped and not CHANGING.match(last)


def _top_is_quiet(dotted: str) -> bool:
    top = dotted.split(".")[0]
    return top in ("builtins", "filiera") or is_standard(top) or top in QUIET_LIBRARIES


def _defines(module: Module, name: str, kind: type[ast.stmt] | None = None) -> bool:
    """Whether a name stands for a function or class that is defined here."""
    found = module.units.get(name, [])
    return bool(found) and all(isinstance(s.node, kind or Definition) for s in found)


def _is_constant(module: Module, name: str) -> bool:
    """Whether a name is set once, to something that nobody can change."""
    found = module.units.get(name, [])
    if len(found) != 1 or not isinstance(found[0].node, ast.Assign | ast.AnnAssign):
        return False
    kept = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context, ast.JoinedStr)
    value = found[0].node.value
    return value is not None and all(isinstance(item, kept) for item in ast.walk(value))
