"""Work on many files by all cores: a process each, because one process decodes and embeds on one core.

A worker loads the models when its first task comes, and ends when its parent is gone, however that ended.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import Any, Final, TypeVar

from auth_server.errors import EvaluationRefused
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings

Task = TypeVar("Task")
Found = TypeVar("Found")
Work = Callable[[FaceSettings, Task], Found]

_AHEAD: Final = 2
"""Tasks that wait for each worker, so that none stands still."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def pipeline_of(settings: FaceSettings) -> Pipeline:
    """Return the pipeline of this process, loaded once. Raises what Pipeline raises."""
    return Pipeline(settings)


def share_out(
    work: Callable[[FaceSettings, Task], Found], settings: FaceSettings, tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[Task, Found]]:
    """Yield each task with what `work`, a function of a module, found for it, as they are done.

    Raises what the work raises, and EvaluationRefused when a worker dies.
    """
    if jobs <= 1 or len(tasks) <= 1:
        yield from ((task, work(settings, task)) for task in tasks)
        return
    context: Any = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_end_with_parent)
    try:
        yield from _drawn(pool, work, settings, tasks, jobs * _AHEAD)
    except BrokenProcessPool as error:
        raise EvaluationRefused("a worker process died: fewer --jobs need less memory") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _drawn(
    pool: ProcessPoolExecutor, work: Work[Task, Found], settings: FaceSettings, tasks: Sequence[Task], ahead: int
) -> Iterator[tuple[Task, Found]]:
    waiting: dict[Future[Found], Task] = {}
    left = iter(tasks)
    while True:
        while len(waiting) < ahead and (task := next(left, None)) is not None:
            waiting[pool.submit(work, settings, task)] = task
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()


def _end_with_parent() -> None:
    """Keep no worker waiting for tasks of a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
