"""Expressions of templates: Jinja's syntax, our own closed meaning.

The only importer of ``jinja2``, which reads the syntax. What an expression means is decided here: it becomes a small
chain of closures over the vocabulary of ``dialect`` and ``words``, so nothing is reachable that is not listed there,
and every step is metered. Compiled Jinja cannot be stopped once it runs, has no limit on time or memory, and reaches
Python's objects unless each way to them is found and closed. This module knows one string, not the tree around it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from jinja2 import Environment, TemplateSyntaxError, nodes

from renderer.manifest import dialect, words
from renderer.manifest.dialect import OMIT, Meter, Refusal, Undefined
from renderer.manifest.spelling import suggest

MAX_SOURCE = 100_000
"""Characters of one string that holds template syntax. Longer text belongs into a file."""

_SYNTAX = Environment(keep_trailing_newline=True)  # noqa: S701 (nothing is HTML; it only parses)


class Scope:
    """One rendering: names, what may still be used, and whether more was asked for. Lives for one rendering."""

    __slots__ = ("exhausted", "meter", "names")

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.meter = Meter()
        self.exhausted = False


Run: TypeAlias = Callable[[Scope], Any]
_Write: TypeAlias = Callable[[Scope, list[str]], None]


def has_syntax(text: str) -> bool:
    """Whether a string holds template syntax."""
    return "{{" in text or "{%" in text or "{#" in text


_BINARY: Mapping[type, Callable[[Meter, Any, Any], Any]] = {
    nodes.Add: dialect.add, nodes.Sub: dialect.subtract, nodes.Mul: dialect.multiply, nodes.Div: dialect.divide,
    nodes.FloorDiv: dialect.divide_whole, nodes.Mod: dialect.remainder, nodes.Pow: dialect.power,
}  # fmt: skip
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right, "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right, "lteq": lambda left, right: left <= right,
    "gt": lambda left, right: left > right, "gteq": lambda left, right: left >= right,
    "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip


class Compiler:
    """Turns Jinja's syntax tree into closures; what it has no case for does not exist."""

    def __init__(self, names: set[str], *, omit: bool) -> None:
        self._names = names
        self._omit = omit

    def source(self, text: str) -> Run:
        """Return how to render one string: a value where it is exactly one expression, else text."""
        if len(text) > MAX_SOURCE:
            raise Refusal(f"text with template syntax is limited to {MAX_SOURCE:,} characters; {{file: ...}} is not")
        try:
            body = _SYNTAX.parse(text).body
            match body:
                case [nodes.Output(nodes=[nodes.Expr() as only])] if not isinstance(only, nodes.TemplateData):
                    return self.expression(only)
                case _:
                    return _text(self._block(body))
        except TemplateSyntaxError as error:
            raise Refusal(f"this is not a template: {error.message}") from None
        except RecursionError:
            raise Refusal("the template is nested too deeply") from None

    # Statements write text.

    def _block(self, body: list[nodes.Node]) -> _Write:
        writers = [self._statement(node) for node in body]

        def write(scope: Scope, out: list[str]) -> None:
            for writer in writers:
                writer(scope, out)

        return write

    def _statement(self, node: nodes.Node) -> _Write:
        match node:
            case nodes.Output():
                return self._output(node)
            case nodes.If():
                return self._if(node)
            case nodes.For():
                return self._for(node)
            case nodes.Assign(target=nodes.Name(name=name)):
                return self._set(name, self.expression(node.node))
            case _:
                raise Refusal(f"`{_keyword(node)}` is not available in templates")

    def _output(self, node: nodes.Output) -> _Write:
        parts = [part.data if isinstance(part, nodes.TemplateData) else self.expression(part) for part in node.nodes]

        def write(scope: Scope, out: list[str]) -> None:
            for part in parts:
                shown = part if isinstance(part, str) else dialect.text(part(scope))
                scope.meter.text(len(shown))
                out.append(shown)

        return write

    def _if(self, node: nodes.If) -> _Write:
        cases = [
            (self.expression(case.test), self._block(case.body))
            for case in (node, *node.elif_)
        ]  # fmt: skip
        otherwise = self._block(node.else_)

        def write(scope: Scope, out: list[str]) -> None:
            for test, body in cases:
                if _truth(test(scope)):
                    body(scope, out)
                    return
            otherwise(scope, out)

        return write

    def _set(self, name: str, run: Run) -> _Write:
        def write(scope: Scope, _out: list[str]) -> None:
            scope.names = {**scope.names, name: run(scope)}

        return write

    def _for(self, node: nodes.For) -> _Write:
        if node.recursive:
            raise Refusal("a recursive loop is not available in templates")
        targets = _targets(node.target)
        many, body, otherwise = self.expression(node.iter), self._block(node.body), self._block(node.else_)
        test = self.expression(node.test) if node.test is not None else None
        cost = 2 + sum(1 for child in node.body for _ in _walk(child))

        def write(scope: Scope, out: list[str]) -> None:
            outer = scope.names
            entries = dialect.apply(words.FILTERS["list"], "for", scope.meter, [many(scope)], {})
            rounds = []
            for entry in entries:
                scope.meter.step(cost)
                local = {**outer, **_bind(targets, entry)}
                scope.names = local
                if test is None or _truth(test(scope)):
                    rounds.append(local)
            for index, local in enumerate(rounds):
                scope.names = {**local, "loop": _loop(index, len(rounds))}
                body(scope, out)
            scope.names = outer
            if not rounds:
                otherwise(scope, out)

        return write

    # Expressions give values.

    def expression(self, node: nodes.Node) -> Run:
        """Return how to work out one expression. Raises :class:`Refusal` for what templates do not have."""
        match node:
            case nodes.Const(value=value) | nodes.TemplateData(data=value):
                return lambda _scope: value
            case nodes.Name(name=name):
                return self._name(name)
            case nodes.Getattr(node=owner, attr=key):
                return _member(self.expression(owner), lambda _scope: key)
            case nodes.Getitem(node=owner, arg=nodes.Slice() as cut):
                return self._slice(owner, cut)
            case nodes.Getitem(node=owner, arg=index):
                return _member(self.expression(owner), _strict(self.expression(index)))
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return _list_literal([self.expression(item) for item in items])
            case nodes.Dict(items=pairs):
                return _map_literal([(self.expression(pair.key), self.expression(pair.value)) for pair in pairs])
            case nodes.CondExpr():
                return self._choice(node)
            case nodes.And(left=left, right=right):
                first, second = self.expression(left), self.expression(right)
                return lambda scope: value if not _truth(value := first(scope)) else second(scope)
            case nodes.Or(left=left, right=right):
                first, second = self.expression(left), self.expression(right)
                return lambda scope: value if _truth(value := first(scope)) else second(scope)
            case nodes.Not(node=operand):
                run = self.expression(operand)
                return lambda scope: not _truth(run(scope))
            case nodes.Neg(node=operand):
                run = self.expression(operand)
                return lambda scope: dialect.subtract(scope.meter, 0, run(scope))
            case nodes.Pos(node=operand):
                run = self.expression(operand)
                return lambda scope: dialect.add(scope.meter, 0, run(scope))
            case nodes.Concat(nodes=parts):
                return _concat([self.expression(part) for part in parts])
            case nodes.Compare(expr=expr, ops=operands):
                return _compare(self.expression(expr), [(op.op, self.expression(op.expr)) for op in operands])
            case nodes.BinExpr(left=left, right=right) if type(node) in _BINARY:
                return _binary(node.operator, _BINARY[type(node)], self.expression(left), self.expression(right))
            case nodes.Filter():
                return self._filter(node)
            case nodes.Test():
                return self._test(node)
            case nodes.Call():
                return self._call(node)
            case _:
                raise Refusal(f"`{_keyword(node)}` is not available in templates")

    def _name(self, name: str) -> Run:
        if self._omit and name == "omit":
            return lambda _scope: OMIT
        self._names.add(name)

        def load(scope: Scope) -> Any:
            try:
                return scope.names[name]
            except KeyError:
                raise Undefined(f"there is no variable `{name}`", word=name, known=scope.names) from None

        return load

    def _slice(self, owner: nodes.Node, cut: nodes.Slice) -> Run:
        run = self.expression(owner)
        parts = [None if part is None else self.expression(part) for part in (cut.start, cut.stop, cut.step)]

        def take(scope: Scope) -> Any:
            value = run(scope)
            if not isinstance(value, str | list):
                raise Refusal(f"{dialect.kind(value)} cannot be cut into a part")
            (scope.meter.text if isinstance(value, str) else scope.meter.step)(len(value))
            bounds = [None if part is None else part(scope) for part in parts]
            if not all(bound is None or isinstance(bound, int) for bound in bounds) or bounds[2] == 0:
                raise Refusal("the bounds of a part must be whole numbers")
            return value[slice(*bounds)]

        return take

    def _choice(self, node: nodes.CondExpr) -> Run:
        test, then = self.expression(node.test), self.expression(node.expr1)
        if node.expr2 is None:
            raise Refusal("an `if` inside an expression needs an `else`")
        otherwise = self.expression(node.expr2)
        return lambda scope: then(scope) if _truth(test(scope)) else otherwise(scope)

    def _filter(self, node: nodes.Filter) -> Run:
        if node.node is None:
            raise Refusal("`{% filter %}` is not available in templates")
        value = self.expression(node.node)
        arguments, named = self._arguments(node)
        if node.name in ("default", "d"):
            if _is_access(node.node):
                value = _lenient(value)
            return _default(value, arguments, named)
        if (word := words.FILTERS.get(node.name)) is None:
            raise Refusal(f"there is no filter `{node.name}` ({_near(node.name, [*words.FILTERS, 'default'])})")
        return _apply(word, f"the filter {node.name}", value, arguments, named)

    def _test(self, node: nodes.Test) -> Run:
        value = self.expression(node.node)
        if node.name in ("defined", "undefined"):
            asked, wanted = _lenient(value) if _is_access(node.node) else value, node.name == "defined"
            return lambda scope: (asked(scope) is not OMIT) is wanted
        if (test := words.TESTS.get(node.name)) is None:
            raise Refusal(f"there is no test `{node.name}` ({_near(node.name, [*words.TESTS, 'defined'])})")
        arguments, named = self._arguments(node)
        known = test

        def ask(meter: Meter, *given: Any, **extra: Any) -> bool:
            for each in given:
                meter.tree(each)
            return known(*given, **extra)

        return _apply(ask, f"the test {node.name}", value, arguments, named)

    def _call(self, node: nodes.Call) -> Run:
        arguments, named = self._arguments(node)
        match node.node:
            case nodes.Name(name="range"):
                return lambda scope: _range([argument(scope) for argument in arguments])
            case nodes.Getattr(node=owner, attr=name):
                value = self.expression(owner)

                def call(scope: Scope) -> Any:
                    receiver = value(scope)
                    word = words.method(receiver, name)
                    given = [argument(scope) for argument in arguments]
                    extra = {key: argument(scope) for key, argument in named.items()}
                    return dialect.apply(word, f"{name}()", scope.meter, [receiver, *given], extra)

                return call
            case nodes.Name(name=name):
                raise Refusal(f"there is no function `{name}`; range is the only one")
            case _:
                raise Refusal("only range() and methods of text and maps can be called")

    def _arguments(self, node: nodes.Filter | nodes.Test | nodes.Call) -> tuple[list[Run], dict[str, Run]]:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise Refusal("`*` and `**` in a call are not available in templates")
        named = {str(pair.key): self.expression(pair.value) for pair in node.kwargs}
        return [self.expression(argument) for argument in node.args], named


def _text(block: _Write) -> Run:
    def render(scope: Scope) -> str:
        names, out = scope.names, list[str]()
        block(scope, out)
        scope.names = names
        return "".join(out)

    return render


def _member(owner: Run, key: Run) -> Run:
    return lambda scope: dialect.lookup(owner(scope), key(scope))


def _strict(run: Run) -> Run:
    """Inside an index, what is undefined is an error even where the whole may be."""

    def strict(scope: Scope) -> Any:
        try:
            return run(scope)
        except Undefined as error:
            raise Refusal(str(error)) from None

    return strict


def _lenient(run: Run) -> Run:
    def lenient(scope: Scope) -> Any:
        try:
            return run(scope)
        except Undefined:
            return OMIT

    return lenient


def _is_access(node: nodes.Node) -> bool:
    """Whether a node only names something: ``a``, ``a.b``, ``a['b']``."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return isinstance(node, nodes.Name)


def _default(value: Run, arguments: list[Run], named: Mapping[str, Run]) -> Run:
    given = [*arguments, *named.values()]
    if not 1 <= len(given) <= 2 or named.keys() - {"default_value", "boolean"}:  # noqa: PLR2004 (value and boolean)
        raise Refusal("the filter default takes one value, and true to replace empty values too")

    def choose(scope: Scope) -> Any:
        current = value(scope)
        if current is OMIT or (len(given) > 1 and given[1](scope) and not _truth(current)):
            return given[0](scope)
        return current

    return choose


def _apply(word: dialect.Word, name: str, value: Run, arguments: list[Run], named: Mapping[str, Run]) -> Run:
    def call(scope: Scope) -> Any:
        given = [value(scope), *(argument(scope) for argument in arguments)]
        extra = {key: argument(scope) for key, argument in named.items()}
        return dialect.apply(word, name, scope.meter, given, extra)

    return call


def _binary(sign: str, word: dialect.Word, left: Run, right: Run) -> Run:
    return lambda scope: dialect.apply(word, sign, scope.meter, [left(scope), right(scope)], {})


def _concat(parts: list[Run]) -> Run:
    def concat(scope: Scope) -> str:
        shown = [dialect.text(part(scope)) for part in parts]
        scope.meter.text(sum(map(len, shown)))
        return "".join(shown)

    return concat


def _compare(first: Run, operands: list[tuple[str, Run]]) -> Run:
    def compare(scope: Scope) -> bool:
        left = first(scope)
        for operator, run in operands:
            right = run(scope)
            scope.meter.tree([left, right])
            try:
                holds = _COMPARE[operator](left, right)
            except TypeError:
                raise Refusal(f"{dialect.kind(left)} cannot be compared with {dialect.kind(right)}") from None
            if not holds:
                return False
            left = right
        return True

    return compare


def _list_literal(items: list[Run]) -> Run:
    def build(scope: Scope) -> list[Any]:
        values = [value for item in items if (value := item(scope)) is not OMIT]
        scope.meter.tree(values)
        return values

    return build


def _map_literal(pairs: list[tuple[Run, Run]]) -> Run:
    def build(scope: Scope) -> dict[str, Any]:
        result = {}
        for key, value in pairs:
            name, held = key(scope), value(scope)
            if not isinstance(name, str):
                raise Refusal(f"the key of a map must be text, not {dialect.kind(name)}")
            if held is not OMIT:
                result[name] = held
        scope.meter.tree(result)
        return result

    return build


def _truth(value: Any) -> bool:
    if value is OMIT:
        raise Refusal("omit is neither true nor false")
    return bool(value)


def _range(bounds: list[Any]) -> list[int]:
    if not 1 <= len(bounds) <= 3 or not all(type(bound) is int for bound in bounds) or bounds[2:] == [0]:  # noqa: PLR2004
        raise Refusal("range() takes one to three whole numbers")
    numbers = range(*bounds)
    if numbers[: dialect.MAX_RANGE] != numbers:
        raise Refusal(f"range() gives at most {dialect.MAX_RANGE:,} numbers")
    return list(numbers)


def _targets(target: nodes.Node) -> list[str]:
    match target:
        case nodes.Name(name=name):
            return [name]
        case nodes.Tuple(items=items) if all(isinstance(item, nodes.Name) for item in items):
            return [item.name for item in items if isinstance(item, nodes.Name)]
        case _:
            raise Refusal("a loop needs plain names")


def _bind(targets: list[str], entry: Any) -> Mapping[str, Any]:
    if len(targets) == 1:
        return {targets[0]: entry}
    if not isinstance(entry, list) or len(entry) != len(targets):
        raise Refusal(f"the loop needs {len(targets)} values in each round")
    return dict(zip(targets, entry, strict=True))


def _loop(index: int, length: int) -> Mapping[str, Any]:
    return {
        "index": index + 1, "index0": index, "first": index == 0, "last": index == length - 1, "length": length,
    }  # fmt: skip


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _keyword(node: nodes.Node) -> str:
    return type(node).__name__.lower()


def _near(name: str, known: list[str]) -> str:
    return suggest(name, known) or f"known: {', '.join(sorted(known))}"
