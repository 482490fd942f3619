"""Lanes: for each backend a pool of threads of fixed width, so that no backend waits for another."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Lane(Generic[T]):
    """Runs tasks on at most `width` threads, which start when they are first needed.

    The threads are daemons: one that hangs in a driver call keeps nobody from leaving.
    """

    def __init__(
        self, name: str, width: int, work: Callable[[T], bool], begin: Callable[[], None] | None = None
    ) -> None:
        """Let each thread `begin`, and then run `work`, which must not raise, on each task; it returns False where its thread has been given up meanwhile."""
        self.width = width
        self._name = name
        self._work = work
        self._begin = begin
        self._tasks: SimpleQueue[T | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._threads = 0
        self._unfinished = 0
        self._closed = False

    def submit(self, task: T) -> None:
        """Run the task as soon as a thread is free."""
        self._tasks.put(task)
        with self._mutex:
            self._unfinished += 1
            starts = self._wants_thread()
        if starts:
            self._start_thread()

    def give_up_thread(self) -> None:
        """Count one thread as lost in a call that does not return, and let another take its place."""
        with self._mutex:
            self._threads -= 1
            self._unfinished -= 1
            starts = self._wants_thread()
        if starts:
            self._start_thread()

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        with self._mutex:
            self._closed = True
            threads = self._threads
        for _ in range(threads):
            self._tasks.put(None)

    def _wants_thread(self) -> bool:
        """Tell whether a thread is to be started, and count it already."""
        wants = not self._closed and self._threads < min(self.width, self._unfinished)
        if wants:
            self._threads += 1
        return wants

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name=f"lane-{self._name}", daemon=True).start()

    def _run(self) -> None:
        if self._begin is not None:
            self._begin()
        while (task := self._tasks.get()) is not None:
            if not self._work(task):
                return
            with self._mutex:
                self._unfinished -= 1
