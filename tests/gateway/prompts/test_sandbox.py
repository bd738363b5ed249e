"""What a template may do, and what it may not, whoever wrote it."""

from bisect import bisect
from functools import partial
from typing import Any

import pytest

from polyvox.errors import BadRequestError
from polyvox.gateway.prompts import sandbox
from polyvox.gateway.prompts.purse import UNITS, Purse
from polyvox.gateway.prompts.sandbox import MAX_OUTPUT, MAX_SOURCE, compiled, environment, render


def rendered(text: str, **variables: Any) -> str:
    return render([compiled(environment(), text)], variables)[0]


@pytest.mark.parametrize(
    ("text", "variables", "wanted"),
    [
        ("Hi {{ name }}!", {"name": "Ada"}, "Hi Ada!"),
        ("{{ a.b[0].c }}", {"a": {"b": [{"c": 1}]}}, "1"),
        ("{{ order.items }}", {"order": {"items": [3]}}, "[3]"),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", {"d": {"a": 1}}, "a=1;"),
        (
            "{% for x in xs %}{{ loop.index }}/{{ loop.length }} {% endfor %}",
            {"xs": "ab"},
            "1/2 2/2 ",
        ),
        ("{% for x in xs if x > 1 %}{{ x }}{% else %}none{% endfor %}", {"xs": [1]}, "none"),
        ("{% for i in range(3) %}{{ loop.cycle('a', 'b') }}{% endfor %}", {}, "aba"),
        ("{% for i in range(3) %}{% for j in range(i) %}.{% endfor %}|{% endfor %}", {}, "|.|..|"),
        ("{% if a is defined and a %}yes{% else %}no{% endif %}", {}, "no"),
        ("{% set full = first ~ ' ' ~ 2 %}{{ full }}", {"first": "A"}, "A 2"),
        ("{{ d }} {{ d|tojson(indent=1) }}", {"d": {"ä": None}}, '{"ä":null} {\n "ä": null\n}'),
        ("{{ x|default('d') }} {{ ''|d('e', true) }}", {}, "d e"),
        ("{{ [3, 1, 2]|sort|join(', ') }}", {}, "1, 2, 3"),
        ("{{ us|map(attribute='n')|join('+') }}", {"us": [{"n": "a"}, {"n": "b"}]}, "a+b"),
        ("{{ us|sort(attribute='n')|first }}", {"us": [{"n": 2}, {"n": 1}]}, '{"n":1}'),
        ("{{ [1, 2, 1]|unique|list }} {{ 'aXa'|replace('X', '-') }}", {}, "[1,2] a-a"),
        (
            "{{ 7 // 2 }} {{ 7 % 2 }} {{ 3 / 2 }} {{ -2 * 3 }} {{ [1] + [2] }}",
            {},
            "3 1 1.5 -6 [1,2]",
        ),
        ("{{ 'a b'.split()|last }} {{ ' x '.strip() }} {{ 'abc'[1:] }}", {}, "b x bc"),
        ("{{ 'a\\nb'|indent(2) }}|{{ 'long text'|truncate(6) }}", {}, "a\n  b|lon..."),
        ("{{ '5'|int + '0.5'|float }} {{ 'x'|int(9) }} {{ 2.567|round(1) }}", {}, "5.5 9 2.6"),
        ("{{ 'b' in 'abc' and 1 < 2 < 3 }} {{ 1 if x else 0 }}", {"x": []}, "True 0"),
        ("{# nothing #}{% raw %}{{ x }}{% endraw %}", {}, "{{ x }}"),
        ("<b>{{ x }}</b>", {"x": "<&>"}, "<b><&></b>"),
    ],
)
def test_what_a_prompt_needs_works(text: str, variables: dict[str, Any], wanted: str):
    assert rendered(text, **variables) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ name }}", "'name' is undefined"),
        ("{{ name.first.letter }}", "'name' is undefined"),
        ("{{ name[0] }}", "'name' is undefined"),
        ("{{ name() }}", "'name' is undefined"),
        ("{{ name + 1 }}", "'name' is undefined"),
        ("{{ name|upper }}", "'name' is undefined"),
        ("{% for x in name %}{% endfor %}", "'name' is undefined"),
        ("{{ user.nmae }}", "has no attribute 'nmae'"),
        ("{{ user.xs[7] }}", "has no element 7"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ user + 1 }}", r"\+ is for numbers, not for a dict"),
        ("{{ []|first }}", "there is no first of nothing"),
        ("{% for x in 5 %}{% endfor %}", "a int is nothing to go through"),
    ],
)
def test_a_mistake_is_named(text: str, says: str):
    with pytest.raises(BadRequestError, match=says):
        rendered(text, user={"name": "Ada", "xs": []})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\n{{ x", "line 2"),
        ("{% if %}", "line 1"),
        ("{{ x|uper }}", "there is no filter 'uper'; did you mean 'upper'"),
        ("{{ x is defind }}", "did you mean 'defined'"),
        ("x" * (MAX_SOURCE + 1), "more than 64,000"),
        ("{{x}}" * 10_000, "more than 5,000"),
    ],
)
def test_a_text_that_is_no_template_is_refused_by_its_line(text: str, says: str):
    with pytest.raises(BadRequestError, match=says):
        compiled(environment(), text)


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ [x]|map(attribute='__class__')|list }}",
    "{{ [x]|sort(attribute='__class__') }}",
    "{{ [x]|map('attr', '__class__')|list }}",
    "{{ x.__init__.__globals__ }}",
    "{{ x.items.__self__ }}",
    "{{ x.items.__func__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__ }}",
    "{{ namespace.__init__ }}",
    "{{ dict(a=1) }}",
    "{{ self }}",
    "{{ self.__init__.__globals__.__builtins__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ request.application.__globals__ }}",
    "{{ config }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__}'.format_map({}) }}",
    "{{ '%s'|format(1) }}",
    "{{ ('{0.__class__.__mro__}').format.__self__ }}",
    "{{ range.__init__ }}",
    "{{ range(3).__class__ }}",
    "{% for a in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for a in [1] %}{{ loop._undefined }}{% endfor %}",
    "{% for a in [1] %}{{ loop }}{% endfor %}",
    "{% for a in [1] %}{{ loop([2]) }}{% endfor %}",
    "{{ x.update({'a': 1}) }}",
    "{{ l.append(1) }}",
    "{{ l.pop() }}",
    "{{ x.items }}",
    "{{ range }}",
    "{{ (x|default).__class__ }}",
    "{{ _purse }}",
    "{{ _purse.left }}",
    "{% set _purse = 1 %}",
    "{{ x|_each(0) }}",
    "{{ x|_paid }}",
    "{% set x.y = 1 %}",
    "{% set ns = namespace(a=1) %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends 'base' %}",
    "{% block a %}{% endblock %}",
    "{% macro f() %}{% endmacro %}",
    "{% call f() %}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% set a %}b{% endset %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% with a=1 %}{% endwith %}",
    "{% do x.update({}) %}",
    "{% debug %}",
    "{{ x.get.__class__ }}",
    "{{ ''.join.__self__ }}",
    "{{ ''.encode('utf-8') }}",
    "{{ ().__class__ }}",
    "{{ x | xmlattr }}",
    "{{ x | pprint }}",
    "{{ [1] | random }}",
    "{{ range(*l) }}",
    "{{ range(**x) }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_known_ways_out_of_a_sandbox_are_closed(text: str):
    variables: dict[str, Any] = {"x": {"a": 1}, "l": [1]}
    with pytest.raises(BadRequestError):
        rendered(text, **variables)
    assert variables == {"x": {"a": 1}, "l": [1]}


def doubled(first: str, step: str, last: str, times: int = 60) -> str:
    return first + step * times + last


BOMBS = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a loop of one level": "{% for i in range(999999999) %}{% endfor %}",
    "a filtered loop": "{% for i in range(999999999) if i < 0 %}{% endfor %}",
    "a loop's length": "{% for i in range(999999999) %}{{ loop.length }}{% endfor %}",
    "much in a loop": "{% for i in range(99999) %}"
    + "{% if x %}{% endif %}" * 1500
    + "{% endfor %}",
    "text in a loop": "{% for i in range(9999) %}" + "t" * 60_000 + "{% endfor %}",
    "output in a loop": "{% for i in range(9999) %}{{ doc }}{% endfor %}",
    "comparing in a loop": "{% for i in range(99999) %}{% if doc == cod %}{% endif %}{% endfor %}",
    "finding in a loop": "{% for i in range(99999) %}{% if 'zz' in doc %}{% endif %}{% endfor %}",
    "slices in a loop": "{% for i in range(99999) %}{% if doc[1:] %}{% endif %}{% endfor %}",
    "methods in a loop": "{% for i in range(99999) %}{% if doc.upper() %}{% endif %}{% endfor %}",
    "text times": "{{ 'a' * 999999999 }}",
    "list times": "{{ [1] * 999999999 }}",
    "powers": "{{ 9 ** 9 ** 9 }}",
    "large numbers": doubled("{% set a = 9999999999 %}", "{% set a = a * a %}", "{{ a }}"),
    "width by percent": "{{ '%999999999d' % 1 }}",
    "width by format": "{{ '{:>999999999}'.format(1) }}",
    "width by methods": "{{ 'a'.ljust(999999999) }}",
    "width by center": "{{ 'a'|center(999999999) }}",
    "indent": "{{ 'a\\nb'|indent(999999999) }}",
    "indented json": "{{ [[1]]|tojson(indent=999999999) }}",
    "round": "{{ 9|round(-999999999) }}",
    "batch": "{{ [1]|batch(999999999, 'x')|list }}",
    "lists of a range": "{{ range(999999999)|list }}",
    "sorted range": "{{ range(999999999)|sort }}",
    "joined range": "{{ range(999999999)|join }}",
    "joined by much": "{{ range(99999)|join(doc) }}",
    "replaced": "{{ 'a'" + "|replace('a', 'aaaaaaaaaaaaaaaa')" * 20 + " }}",
    "doubled by ~": doubled("{% set a = 'aaaa' %}", "{% set a = a ~ a %}", "{{ a }}"),
    "doubled by +": doubled("{% set a = 'aaaa' %}", "{% set a = a + a %}", "{{ a }}"),
    "doubled lists": doubled("{% set a = [1] %}", "{% set a = [a, a] %}", "{{ a }}"),
    "doubled objects": doubled("{% set a = 1 %}", "{% set a = {1: a, 2: a} %}", "{{ a|tojson }}"),
    "doubled by +, lists": doubled("{% set a = [1] %}", "{% set a = a + a %}", "{{ a|length }}"),
    "doubled and compared": doubled(
        "{% set a = [1] %}{% set b = [1] %}",
        "{% set a = [a, a] %}{% set b = [b, b] %}",
        "{{ a == b }}",
    ),
    "doubled by loops": "{% for a in [[a,a]] %}" * 18 + "{{ a }}" + "{% endfor %}" * 18,
    "nested expressions": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "nested lists": "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "nested nots": "{{ " + "not " * 9_000 + "1 }}",
    "nested ifs": "{% if x %}" * 3_000 + "{% endif %}" * 3_000,
    "nested loops by far": "{% for a in x %}" * 50 + "{% endfor %}" * 50,
    "long sums": "{{ 1" + "+1" * 9_000 + " }}",
    "long chains of filters": "{{ x" + "|trim" * 5_000 + " }}",
    "long paths": "{{ x" + ".x" * 9_000 + " }}",
}


@pytest.mark.timeout(30)  # those that would hang do so for hours
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_template_that_would_take_for_ever_or_fill_the_memory_is_stopped(bomb: str):
    doc = "x" * 1_000_000
    with pytest.raises(BadRequestError):
        rendered(BOMBS[bomb], doc=doc, cod=doc[1:] + "y", x={"a": 1}, a=[1])


def test_the_work_of_a_rendering_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch):
    text = "{% for i in range(n) %}{{ i }} {% endfor %}"
    source = compiled(environment(), text)

    def fits(count: int) -> bool:
        try:
            render([source], {"n": count})
        except BadRequestError:
            return False
        return True

    assert fits(50_000)
    monkeypatch.setattr(
        sandbox, "Purse", partial(Purse, UNITS // 20)
    )  # so that the end is found soon
    limit = bisect(range(25_000), False, key=lambda count: not fits(count))
    assert fits(limit - 1)
    assert not fits(limit)


def test_all_messages_of_a_template_share_what_it_may_cost():
    source = compiled(environment(), "{{ doc }}")
    doc = "x" * (MAX_OUTPUT // 3)
    assert len(render([source] * 2, {"doc": doc})) == 2
    with pytest.raises(BadRequestError, match="longer than 4,000,000"):
        render([source] * 4, {"doc": doc})


def test_variables_are_paid_for_before_anything_is_done():
    with pytest.raises(BadRequestError, match="too much work"):
        rendered("Hi", doc="x" * (UNITS + 1))
    purse = Purse(100)
    with pytest.raises(BadRequestError):
        purse.weigh([[]] * 10)
