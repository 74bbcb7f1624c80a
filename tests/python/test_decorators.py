"""Decorators: what they accept, refuse and register (A-DEC, A-HID, FIX-23, 26, 27, 36)."""

import warnings
from typing import Any

import pytest

import kopf
from kopf import _loaders, _pending

RESOURCE_DECORATORS = [
    kopf.on.create,
    kopf.on.update,
    kopf.on.delete,
    kopf.on.resume,
    kopf.on.event,
]

LATER: list[Any] = [
    kopf.on.login,
    kopf.on.probe,
    kopf.on.validate,
    kopf.on.mutate,
    kopf.index,
    kopf.daemon,
    kopf.timer,
]


def fn(**_: Any) -> None:
    pass


def only(registry: kopf.OperatorRegistry) -> Any:
    (declaration,) = registry.declarations()
    return declaration


@pytest.mark.parametrize("decorator", RESOURCE_DECORATORS)
def test_the_function_stays_as_it_is(decorator: Any, registry: kopf.OperatorRegistry) -> None:
    """A-DEC-001."""
    assert decorator("kopfexamples")(fn) is fn
    assert only(registry).fn is fn


@pytest.mark.parametrize("decorator", RESOURCE_DECORATORS)
def test_the_founding_form_of_three_strings_works(decorator: Any, registry: kopf.OperatorRegistry) -> None:
    """A-DEC-024."""
    decorator("zalando.org", "v1", "kopfexamples")(fn)
    selector = only(registry).selector
    assert (selector.group, selector.version, selector.any_name) == ("zalando.org", "v1", "kopfexamples")


def test_arguments_are_checked_when_the_decorator_is_applied() -> None:
    """A-DEC-002."""
    decorator = kopf.on.create()
    with pytest.raises(TypeError, match="no names"):
        decorator(fn)


def test_all_options_reach_the_declaration(registry: kopf.OperatorRegistry) -> None:
    kopf.on.update(
        "kopf.dev",
        "v1",
        "kex",
        id="x",
        param=1,
        errors=kopf.ErrorsMode.PERMANENT,
        timeout=2.5,
        retries=3,
        backoff=4,
        labels={"a": "b"},
        annotations={"c": kopf.PRESENT},
        when=lambda **_: True,
        field="spec.size",
        old=1,
        new=2,
    )(fn)
    found = only(registry)
    assert (found.kind, found.trigger, found.id, found.param) == ("changing", "update", "x/spec.size", 1)
    assert (found.errors, found.timeout, found.retries, found.backoff) == (kopf.ErrorsMode.PERMANENT, 2.5, 3, 4)
    assert (found.labels, found.annotations) == ({"a": "b"}, {"c": kopf.PRESENT})
    assert (found.field, found.value, found.old, found.new) == (("spec", "size"), None, 1, 2)
    assert found.when() is True


def test_flags_of_deletion_and_resuming_reach_the_declaration(registry: kopf.OperatorRegistry) -> None:
    """A-DEC-019, A-DEC-020."""
    kopf.on.delete("kex", optional=True)(fn)
    kopf.on.resume("kex", deleted=True)(fn)
    delete, resume = registry.declarations()
    assert (delete.optional, resume.deleted) == (True, True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("decorator", "option"),
    [
        (kopf.on.event, {"timeout": 1}),
        (kopf.on.event, {"old": 1}),
        (kopf.on.create, {"old": 1}),
        (kopf.on.create, {"deleted": True}),
        (kopf.on.update, {"optional": True}),
        (kopf.on.startup, {"labels": {}}),
    ],
)
def test_unknown_options_are_refused(decorator: Any, option: dict[str, Any]) -> None:
    """A-DEC-005."""
    with pytest.raises(TypeError, match=next(iter(option))):
        decorator(**option)


def test_a_field_is_required_for_handlers_of_fields() -> None:
    """A-DEC-010."""
    with pytest.raises(TypeError, match="field"):
        kopf.on.field("kex")  # type: ignore[call-arg]


@pytest.mark.parametrize("field", ["spec.size", ["spec", "size"], ("spec", "size")])
def test_fields_are_dotted_or_listed(field: Any, registry: kopf.OperatorRegistry) -> None:
    """A-DEC-017."""
    kopf.on.field("kex", field=field)(fn)
    assert only(registry).field == ("spec", "size")


@pytest.mark.parametrize("field", [(), [], "", None])
def test_an_empty_field_is_no_field(field: Any, registry: kopf.OperatorRegistry) -> None:
    """A-DEC-017."""
    kopf.on.create("kex", field=field)(fn)
    assert only(registry).field is None
    assert only(registry).id == "fn"


@pytest.mark.parametrize("field", [1, {"spec": "size"}, b"spec"])
def test_other_fields_are_refused(field: Any) -> None:
    """A-DEC-017."""
    with pytest.raises(ValueError, match="field"):
        kopf.on.create("kex", field=field)(fn)


@pytest.mark.parametrize("filters", [{"value": 1}, {"old": 1}, {"new": 1}])
def test_filters_of_values_need_a_field(filters: dict[str, Any]) -> None:
    """A-DEC-018."""
    with pytest.raises(TypeError, match="need a field="):
        kopf.on.update("kex", **filters)(fn)


@pytest.mark.parametrize("change", [{"old": 2}, {"new": 2}, {"old": 2, "new": 3}])
def test_the_value_excludes_old_and_new(change: dict[str, Any]) -> None:
    """A-DEC-018."""
    with pytest.raises(TypeError, match="not both"):
        kopf.on.update("kex", field="spec", value=1, **change)(fn)


@pytest.mark.parametrize("stanza", ["labels", "annotations"])
def test_none_is_no_criterion(stanza: str) -> None:
    """A-DEC-015."""
    with pytest.raises(ValueError, match="ABSENT"):
        kopf.on.create("kex", **{stanza: {"a": None}})(fn)  # type: ignore[arg-type]


@pytest.mark.parametrize("stanza", ["labels", "annotations"])
def test_criteria_must_be_a_mapping(stanza: str) -> None:
    """A-DEC-015."""
    with pytest.raises(AttributeError, match="mapping"):
        kopf.on.create("kex", **{stanza: ["a"]})(fn)  # type: ignore[arg-type]


async def async_filter(*_: Any, **__: Any) -> bool:
    return False


@pytest.mark.parametrize(
    "filters",
    [
        {"when": async_filter},
        {"labels": {"a": async_filter}},
        {"annotations": {"a": async_filter}},
        {"field": "spec", "value": async_filter},
        {"field": "spec", "old": async_filter},
        {"field": "spec", "new": async_filter},
    ],
)
def test_async_filters_are_refused(filters: dict[str, Any]) -> None:
    """FIX-23: a coroutine would always count as true."""
    with pytest.raises(TypeError, match=r"async one: async_filter \(.*test_decorators.py:\d+\)"):
        kopf.on.update("kex", **filters)(fn)


@pytest.mark.parametrize("combinator", [kopf.all_, kopf.any_, kopf.none_])
def test_async_filters_are_refused_inside_of_combinators(combinator: Any) -> None:
    """FIX-23."""
    with pytest.raises(TypeError, match="async"):
        combinator([async_filter])


def test_handlers_are_kept_in_the_order_of_registration(registry: kopf.OperatorRegistry) -> None:
    """A-HID-008: of stacked decorators, the lowest registers first."""

    @kopf.on.create("kex", id="second")
    @kopf.on.resume("kex", id="first")
    def stacked(**_: Any) -> None:
        pass

    assert [declaration.id for declaration in registry.declarations()] == ["first", "second"]


def test_another_registry_may_be_given(registry: kopf.OperatorRegistry) -> None:
    """A-DEC-006. An empty registry counts as given."""
    other = kopf.OperatorRegistry()
    kopf.on.create("kex", registry=other)(fn)
    kopf.on.startup(registry=other)(fn)
    assert len(other.declarations()) == 2
    assert registry.declarations() == []


@pytest.mark.parametrize("decorator", [kopf.on.startup, kopf.on.cleanup])
def test_activities_without_parentheses_say_where(decorator: Any) -> None:
    """A-DEC-004, FIX-27."""
    with pytest.raises(TypeError, match=rf"@kopf.on.{decorator.__name__}\(\).*") as caught:
        decorator(fn)
    assert "test_decorators.py:" in str(caught.value)


@pytest.mark.parametrize("decorator", RESOURCE_DECORATORS)
def test_resources_without_parentheses_are_an_error_when_loading_ends(decorator: Any) -> None:
    """FIX-27, DEC-16: nothing is guessed from signatures."""

    @decorator
    def forgotten(**_: Any) -> None:
        pass

    with pytest.raises(TypeError, match=r"has no parentheses") as caught:
        _pending.check()
    assert f"@kopf.on.{decorator.__name__} " in str(caught.value)
    assert "forgotten (" in str(caught.value)
    assert "test_decorators.py:" in str(caught.value)
    _pending.check()  # it is told once


@pytest.mark.parametrize("decorator", RESOURCE_DECORATORS)
def test_resource_decorators_that_are_applied_to_nothing_are_an_error_when_loading_ends(decorator: Any) -> None:
    """FIX-27, DEC-16."""
    decorator("kex", **({"field": "spec"} if decorator is kopf.on.field else {}))
    with pytest.raises(TypeError, match=r"was applied to no function") as caught:
        _pending.check()
    assert f"kopf.on.{decorator.__name__}(...) of {__file__}:" in str(caught.value)
    _pending.check()  # it is told once


def test_a_file_without_parentheses_is_named_with_the_line(tmp_path: Any) -> None:
    """FIX-27."""
    file = tmp_path / "handlers.py"
    file.write_text("import kopf\n\n@kopf.on.create\ndef create_fn(**_): pass\n")
    with pytest.raises(TypeError) as caught:
        _loaders.preload([file], [])
    assert f"create_fn ({file}:3)" in str(caught.value)


def test_a_function_as_a_selector_is_no_mistake_once_it_is_applied(registry: kopf.OperatorRegistry) -> None:
    kopf.on.create(lambda resource: True)(fn)
    _pending.check()
    assert callable(only(registry).selector.any_name)


@pytest.mark.parametrize("decorator", LATER)
def test_what_is_not_there_yet_says_so(decorator: Any) -> None:
    with pytest.raises(NotImplementedError, match="not available in this version"):
        decorator() if decorator in (kopf.on.login, kopf.on.probe) else decorator("kex")


def test_two_functions_under_one_id_are_warned_of() -> None:
    """FIX-26: they would share their progress."""
    kopf.on.create("kex", id="same")(fn)
    with pytest.warns(UserWarning, match="the same id 'same'"):

        @kopf.on.create("kex", id="same")
        def other(**_: Any) -> None:
            pass


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (kopf.on.create("kex", id="x/f"), kopf.on.field("kex", id="x", field="f"), True),
        (kopf.on.update("kex", id="x"), kopf.on.resume("kex", id="x"), True),
        (kopf.on.create("kex", id="x"), kopf.on.resume("kex", id="x"), False),
        (kopf.on.delete("kex", id="x"), kopf.on.resume("kex", id="x"), False),
        (kopf.on.delete("kex", id="x"), kopf.on.resume("kex", id="x", deleted=True), True),
        (kopf.on.create("kex", id="x"), kopf.on.delete("kex", id="x"), False),
    ],
)
def test_ids_are_shared_only_by_handlers_that_may_meet(one: Any, other: Any, meet: bool) -> None:
    """FIX-26."""

    def twin(**_: Any) -> None: ...

    one(fn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other(twin)
    assert bool(caught) == meet


@pytest.mark.parametrize(
    "decorate",
    [
        lambda fn: kopf.on.update("kex", id="same")(fn),
        lambda fn: kopf.on.create("pods", id="same")(fn),
        lambda fn: kopf.on.event("kex", id="same")(fn),
    ],
)
def test_ids_may_repeat_where_handlers_never_meet(decorate: Any) -> None:
    """FIX-26; habit: several handlers under one name, defined in a loop for different resources."""
    kopf.on.create("kex", id="same")(fn)

    def other(**_: Any) -> None:
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decorate(other)


def test_one_function_may_have_several_decorators_without_a_warning() -> None:
    """Habit: one function under several decorators."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kopf.on.create("kex")(kopf.on.resume("kex")(kopf.on.update("kex")(fn)))
        kopf.on.field("kex", field="spec.a")(kopf.on.field("kex", field="spec.b")(fn))


def test_handlers_that_cannot_take_all_arguments_are_warned_of() -> None:
    """FIX-36."""
    with pytest.warns(UserWarning, match=r"no \*\*kwargs") as caught:

        @kopf.on.create("kex")
        def narrow(spec: Any) -> None:
            pass

    assert caught[0].filename == __file__


def test_star_imports_bring_all_helpers_of_hierarchies() -> None:
    """FIX-30, A-PUB-006."""
    assert {"harmonize_naming", "adjust_namespace"} <= set(kopf.__all__)
    assert len(kopf.__all__) == 110
    assert [name for name in kopf.__all__ if not hasattr(kopf, name)] == []


def test_the_short_names_are_those_of_the_decorators() -> None:
    """A-PUB-010, A-PUB-011."""
    assert (kopf.index, kopf.daemon, kopf.timer) == (kopf.on.index, kopf.on.daemon, kopf.on.timer)
    assert (kopf.register, kopf.subhandler) == (kopf.on.register, kopf.on.subhandler)


def test_subhandlers_need_a_running_handler() -> None:
    """A-SUB-007."""
    with pytest.raises(LookupError):
        kopf.subhandler()(fn)
    with pytest.raises(LookupError):
        kopf.register(fn)
