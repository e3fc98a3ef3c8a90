"""Expressions of templates: Jinja's syntax, our own closed meaning.

The only importer of ``jinja2``, which reads the syntax. What an expression means is decided here: it becomes a small
chain of closures (``evaluation``) over the vocabulary of ``dialect`` and ``words``, so nothing is reachable that is not
listed there, and every step is metered. Compiled Jinja cannot be stopped once it runs, has no limit on time or memory,
and reaches Python's objects unless each way to them is found and closed. This module knows one string, not the tree
around it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from renderer.manifest import dialect, evaluation, words
from renderer.manifest.dialect import OMIT, UNKNOWN, Follows, Meter, Refusal, Undefined
from renderer.manifest.evaluation import Run, Scope, Write
from renderer.manifest.spelling import suggest

MAX_SOURCE = 100_000
"""Characters of one string that holds template syntax. Longer text belongs into a file."""

_SYNTAX = Environment(keep_trailing_newline=True)  # noqa: S701 (nothing is HTML; it only parses)


def has_syntax(text: str) -> bool:
    """Whether a string holds template syntax."""
    return "{{" in text or "{%" in text or "{#" in text


_BINARY: Mapping[type, Callable[[Meter, Any, Any], Any]] = {
    nodes.Add: dialect.add, nodes.Sub: dialect.subtract, nodes.Mul: dialect.multiply, nodes.Div: dialect.divide,
    nodes.FloorDiv: dialect.divide_whole, nodes.Mod: dialect.remainder, nodes.Pow: dialect.power,
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
                    return evaluation.written(self._block(body))
        except TemplateSyntaxError as error:
            raise Refusal(f"this is not a template: {error.message}") from None
        except RecursionError:
            raise Refusal("the template is nested too deeply") from None

    # Statements write text.

    def _block(self, body: list[nodes.Node]) -> Write:
        writers = [self._statement(node) for node in body]

        def write(scope: Scope, out: list[str]) -> None:
            for writer in writers:
                writer(scope, out)

        return write

    def _statement(self, node: nodes.Node) -> Write:
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

    def _output(self, node: nodes.Output) -> Write:
        parts = [part.data if isinstance(part, nodes.TemplateData) else self.expression(part) for part in node.nodes]

        def write(scope: Scope, out: list[str]) -> None:
            for part in parts:
                shown = part if isinstance(part, str) else dialect.text(part(scope))
                scope.meter.text(len(shown))
                out.append(shown)

        return write

    def _if(self, node: nodes.If) -> Write:
        cases = [
            (self.expression(case.test), self._block(case.body))
            for case in (node, *node.elif_)
        ]  # fmt: skip
        otherwise = self._block(node.else_)

        def write(scope: Scope, out: list[str]) -> None:
            for test, body in cases:
                if evaluation.truth(test(scope)):
                    body(scope, out)
                    return
            otherwise(scope, out)

        return write

    def _set(self, name: str, run: Run) -> Write:
        def write(scope: Scope, _out: list[str]) -> None:
            scope.names = {**scope.names, name: run(scope)}

        return write

    def _for(self, node: nodes.For) -> Write:
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
                local = {**outer, **evaluation.bind(targets, entry)}
                scope.names = local
                if test is None or evaluation.truth(test(scope)):
                    rounds.append(local)
            for index, local in enumerate(rounds):
                scope.names = {**local, "loop": evaluation.loop(index, len(rounds))}
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
                return evaluation.member(self.expression(owner), lambda _scope: key)
            case nodes.Getitem(node=owner, arg=nodes.Slice() as cut):
                return self._slice(owner, cut)
            case nodes.Getitem(node=owner, arg=index):
                return evaluation.member(self.expression(owner), evaluation.strict(self.expression(index)))
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return evaluation.list_literal([self.expression(item) for item in items])
            case nodes.Dict(items=pairs):
                return evaluation.map_literal(
                    [(self.expression(pair.key), self.expression(pair.value)) for pair in pairs]
                )
            case nodes.CondExpr():
                return self._choice(node)
            case nodes.And(left=left, right=right):
                first, second = self.expression(left), self.expression(right)
                return lambda scope: value if not evaluation.truth(value := first(scope)) else second(scope)
            case nodes.Or(left=left, right=right):
                first, second = self.expression(left), self.expression(right)
                return lambda scope: value if evaluation.truth(value := first(scope)) else second(scope)
            case nodes.Not(node=operand):
                run = self.expression(operand)
                return lambda scope: not evaluation.truth(run(scope))
            case nodes.Neg(node=operand):
                run = self.expression(operand)
                return lambda scope: dialect.subtract(scope.meter, 0, run(scope))
            case nodes.Pos(node=operand):
                run = self.expression(operand)
                return lambda scope: dialect.add(scope.meter, 0, run(scope))
            case nodes.Concat(nodes=parts):
                return evaluation.concat([self.expression(part) for part in parts])
            case nodes.Compare(expr=expr, ops=operands):
                return evaluation.compare(self.expression(expr), [(op.op, self.expression(op.expr)) for op in operands])
            case nodes.BinExpr(left=left, right=right) if type(node) in _BINARY:
                return evaluation.binary(
                    node.operator, _BINARY[type(node)], self.expression(left), self.expression(right)
                )
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
                value = scope.names[name]
            except KeyError:
                raise Undefined(f"there is no variable `{name}`", word=name, known=scope.names) from None
            if value is UNKNOWN:
                raise Follows
            return value

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
        return lambda scope: then(scope) if evaluation.truth(test(scope)) else otherwise(scope)

    def _filter(self, node: nodes.Filter) -> Run:
        if node.node is None:
            raise Refusal("`{% filter %}` is not available in templates")
        value = self.expression(node.node)
        arguments, named = self._arguments(node)
        if node.name in ("default", "d"):
            if _is_access(node.node):
                value = evaluation.lenient(value)
            return evaluation.default(value, arguments, named)
        if (word := words.FILTERS.get(node.name)) is None:
            raise Refusal(f"there is no filter `{node.name}` ({_near(node.name, [*words.FILTERS, 'default'])})")
        return evaluation.applied(word, f"the filter {node.name}", value, arguments, named)

    def _test(self, node: nodes.Test) -> Run:
        value = self.expression(node.node)
        if node.name in ("defined", "undefined"):
            asked, wanted = evaluation.lenient(value) if _is_access(node.node) else value, node.name == "defined"
            return lambda scope: (asked(scope) is not OMIT) is wanted
        if (test := words.TESTS.get(node.name)) is None:
            raise Refusal(f"there is no test `{node.name}` ({_near(node.name, [*words.TESTS, 'defined'])})")
        arguments, named = self._arguments(node)
        known = test

        def ask(meter: Meter, *given: Any, **extra: Any) -> bool:
            for each in given:
                meter.tree(each)
            return known(*given, **extra)

        return evaluation.applied(ask, f"the test {node.name}", value, arguments, named)

    def _call(self, node: nodes.Call) -> Run:
        arguments, named = self._arguments(node)
        match node.node:
            case nodes.Name(name="range"):
                return lambda scope: evaluation.numbers([argument(scope) for argument in arguments])
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


def _is_access(node: nodes.Node) -> bool:
    """Whether a node only names something: ``a``, ``a.b``, ``a['b']``."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return isinstance(node, nodes.Name)


def _targets(target: nodes.Node) -> list[str]:
    match target:
        case nodes.Name(name=name):
            return [name]
        case nodes.Tuple(items=items) if all(isinstance(item, nodes.Name) for item in items):
            return [item.name for item in items if isinstance(item, nodes.Name)]
        case _:
            raise Refusal("a loop needs plain names")


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _keyword(node: nodes.Node) -> str:
    return type(node).__name__.lower()


def _near(name: str, known: list[str]) -> str:
    return suggest(name, known) or f"known: {', '.join(sorted(known))}"
