"""What asyncio opens: awaited for itself, or entered for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Opening(Generic[T]):
    """`thing = await opening`, and the thing is its caller's; or `async with opening as thing`."""

    def __init__(self, start: Callable[[], Awaitable[T]], end: Callable[[T], Awaitable[None]]) -> None:
        self._start = start
        self._end = end
        self._opened: list[T] = []

    def __await__(self) -> Generator[Any, None, T]:
        return self._start().__await__()

    async def __aenter__(self) -> T:
        opened = await self._start()
        self._opened.append(opened)
        return opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._opened:
            await self._end(self._opened.pop())
