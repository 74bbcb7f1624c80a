"""Python code that the engine calls in the middle of its steps."""

from collections.abc import Callable
from typing import Any

from helpers import Api, Calls, RunningOperator, example, is_handled

import kopf


def test_filters_get_the_kwargs_about_the_object(
    operator: Callable[..., RunningOperator], api: Api, calls: Calls
) -> None:
    """Section 5.1 of the contract: of the first object of its kind, too."""

    def condition(**kwargs: Any) -> bool:
        calls.put(kwargs)
        return True

    @kopf.on.create("kex", when=condition)
    async def fn(memo: Any, **_: Any) -> None:
        memo.called = True

    api.create(example())
    with operator():
        kwargs = calls.next()
        api.wait(is_handled)
    names = "logger memo resource patch body spec meta status uid name namespace labels annotations event cause"
    assert set(kwargs) == {*names.split(), "reason", "old", "new", "diff"}
    assert (kwargs["resource"].plural, kwargs["resource"].namespaced) == ("kopfexamples", True)
    assert (kwargs["name"], kwargs["reason"]) == ("one", kopf.Reason.CREATE)
    assert kwargs["memo"] == {"called": True}  # one and the same as the handler's
