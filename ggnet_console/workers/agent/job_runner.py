# SPDX-License-Identifier: GPL-3.0-or-later
"""The job runner: procrastinate's worker in one QThread, each job in a QThread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable

import procrastinate
from procrastinate import exceptions as queue_errors
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job as QueueJob
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from psycopg import Error as PsycopgError
from sqlalchemy.orm import Session

from ... import log
from ...config import Config
from ...db.engine import Database
from ...enums import JobStatus
from ...errors import CancelledError, ConsoleError, HinderedError, UnreachableError, sentence
from ...services import agent_jobs
from ..named_thread import NamedThread
from .image_jobs import ConvertImage, ImportImage, RemoveImage, VerifyImage
from .job import Job, JobContext, JobInterruptedError, persist
from .orphan_files import remove_orphan_files
from .reconciler import Reconciler
from .target_jobs import (
    AdoptTarget,
    ApplyTargets,
    CompareTargets,
    ReconcileTargets,
    RemoveTargets,
    RepairTargets,
    TestLogin,
    UndoTargets,
)
from .target_keeper import TargetKeeper

_log = logging.getLogger(__name__)

CONCURRENCY = 3
_TASK = "ggnet.run"
_LOOK_S = 5.0
_KINDS: dict[str, type[Job]] = {
    kind.kind: kind
    for kind in (
        *(ImportImage, VerifyImage, ConvertImage, RemoveImage),
        *(ApplyTargets, RemoveTargets, CompareTargets, ReconcileTargets, RepairTargets),
        *(UndoTargets, AdoptTarget, TestLogin),
    )
}


class _RetryInterrupted(BaseRetryStrategy):
    """An interrupted job goes back into the queue; whatever else ended a job is final."""

    def get_retry_decision(
        self, *, exception: BaseException, job: QueueJob
    ) -> RetryDecision | None:
        del job
        return (
            RetryDecision(retry_in={"seconds": 0})
            if isinstance(exception, JobInterruptedError)
            else None
        )


class JobThread(NamedThread):
    """One job from take-up to end.

    The tools' processes die with this thread (PR_SET_PDEATHSIG), so it waits for them.
    """

    def __init__(
        self, job: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__("job")
        self._job = job
        self._done = done

    def run(self) -> None:
        error: BaseException | None = None
        try:
            self._job()
        except BaseException as caught:  # noqa: BLE001 - handed to whoever waits for the job
            error = caught
        self._done(error)


def run_job(context: JobContext) -> None:
    """Do one job and record how it ended; raises what ended it.

    JobInterruptedError means that nothing was recorded and the job is to be done again.
    """
    task = context.task
    job = _KINDS[task.kind](context)
    _log.info("job begins, attempt %s", task.attempt)
    try:
        if task.attempt > agent_jobs.MAX_ATTEMPTS:
            raise ConsoleError(
                sentence(
                    "The work was interrupted {times} times and is given up.",
                    times=agent_jobs.MAX_ATTEMPTS,
                )
            )
        job.prepare()
        result = job.work()

        def end(session: Session) -> None:
            job.finish(session, result)
            agent_jobs.end_job(session, task.job_id, JobStatus.SUCCEEDED, result=result)

        context.persist(end)
    except (JobInterruptedError, UnreachableError) as error:
        _log.warning("job interrupted: %s", error)
        raise JobInterruptedError from error
    except CancelledError:
        _failed(job, CancelledError(sentence("The work was cancelled.")), JobStatus.CANCELLED)
        raise
    except ConsoleError as error:
        _failed(job, error, JobStatus.FAILED)
        raise
    except Exception as error:
        _log.exception("a fault in job %s", task.job_id)
        why = sentence("A fault in the program ended the work; its log says more.")
        _failed(job, ConsoleError(why, repr(error)), JobStatus.FAILED)
        raise
    shutil.rmtree(context.work_folder, ignore_errors=True)
    _log.info("job done")


def _failed(job: Job, error: ConsoleError, status: JobStatus) -> None:
    _log.warning("job ended as %s: %s (%s)", status, error, error.details)
    context, job_id = job.context, job.task.job_id

    def end(session: Session) -> None:
        job.revert(session, error)
        agent_jobs.end_job(session, job_id, status, error=error.summary, details=error.details)

    try:
        job.discard()
    except OSError as stays:
        _log.warning("files of the job stay for now: %s", stays)
    context.persist(end)
    try:
        remove_orphan_files(context.database, context.tree, context.host_id)
    except ConsoleError as later:  # it has ended all the same; the next end or start removes them
        _log.warning("files of the job stay for now: %s (%s)", later, later.details)


class JobRunner(NamedThread):
    """The loop that takes the jobs of one storage host from the queue."""

    def __init__(
        self,
        dsn: str,
        config: Config,
        host_id: int,
        database: Database,
        keeper: TargetKeeper,
        reconciler: Reconciler,
    ) -> None:
        """``dsn`` is the agent's, with procrastinate's schema in its search path."""
        super().__init__("job runner")
        self._dsn = dsn
        self._config = config
        self._host_id = host_id
        self._database = database
        self._keeper = keeper
        self._reconciler = reconciler
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: asyncio.Task[None] | None = None
        self._has_run = False
        self._at_work: set[int] = set()
        self._to_put_back: set[int] = set()
        """Jobs that were interrupted while the database could not be told, and are not begun again.

        Their next beginning tells it first, or it would count the interruption as an attempt.
        """

    def stop(self) -> None:
        """End the loop; running jobs stop at once and go back into the queue. Then ``wait()``."""
        self._ending.set()
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def run(self) -> None:
        # A plain selector loop: the policy's would be Qt's once qasync is in use.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())
            self._loop = None
            runner.run(_end_tasks())

    async def _serve(self) -> None:
        delay = 0.2
        while not self._ending.is_set():
            began = time.monotonic()
            self._worker = asyncio.create_task(self._run_worker())
            try:
                await self._worker
            except asyncio.CancelledError:
                break
            except (queue_errors.ProcrastinateException, PsycopgError, ConsoleError) as error:
                _log.warning("the job queue cannot be reached: %s", error)
            except Exception:  # noqa: BLE001 - a bug here must not leave the host without a job runner
                _log.exception("a fault in the job runner; it begins again")
            delay = 0.2 if time.monotonic() - began > 10 else min(delay * 2, 5.0)
            await asyncio.sleep(delay)

    async def _run_worker(self) -> None:
        app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=self._dsn, min_size=1, max_size=4)
        )
        app.task(name=_TASK, pass_context=True, retry=_RetryInterrupted())(self._run_task)
        async with app.open_async():
            await asyncio.to_thread(self._take_over)
            finding = asyncio.create_task(self._find_lost())
            try:
                await app.run_worker_async(
                    queues=[self._config.host],
                    concurrency=CONCURRENCY,
                    install_signal_handlers=False,
                    # Anybody can NOTIFY, and the engine takes that for facts: it would abort jobs.
                    listen_notify=False,
                    fetch_job_polling_interval=0.1,
                    abort_job_polling_interval=1.0,
                    update_heartbeat_interval=2.0,
                    stalled_worker_timeout=10.0,
                    # Jobs stop within moments and begin anew when the queue is back.
                    shutdown_graceful_timeout=0.0,
                )
            finally:
                finding.cancel()

    def _take_over(self) -> None:
        """What was being done when the agent died, or lost the queue, is queued again."""
        with self._database.begin() as session:
            orphans = agent_jobs.requeue_interrupted(
                session, self._config.host, crashed=not self._has_run
            )
        self._has_run = True
        if orphans:
            _log.warning("jobs %s were interrupted and are queued again", orphans)

    async def _find_lost(self) -> None:
        """Queue again what nobody is at: the database did not take how it had ended.

        The engine says that once. Until then such a job holds up all that wait for the same image
        or for the targets.
        """
        lost: set[int] = set()
        while True:
            await asyncio.sleep(_LOOK_S)
            lost = await asyncio.to_thread(self._requeue_lost, lost)

    def _requeue_lost(self, lost_before: set[int]) -> set[int]:
        """What is lost now; queued again if it was lost at the last look, too."""
        try:
            with self._database.begin() as session:
                lost = agent_jobs.interrupted_jobs(session, self._config.host) - self._at_work
                for job_id in lost & lost_before & self._to_put_back:
                    agent_jobs.put_back(session, job_id)
                again = agent_jobs.requeue_interrupted(
                    session, self._config.host, crashed=True, job_ids=lost & lost_before
                )
        except ConsoleError as error:
            _log.warning("lost jobs are looked for later: %s (%s)", error, error.details)
            return set()
        if again:
            _log.warning("jobs %s were lost and are queued again", again)
        return lost.difference(again)

    async def _run_task(self, queue: procrastinate.JobContext, job_id: int) -> None:
        self._at_work.add(job_id)
        try:
            await self._run_to_its_end(queue, job_id)
        finally:
            self._at_work.discard(job_id)

    async def _run_to_its_end(self, queue: procrastinate.JobContext, job_id: int) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def done(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(ended.set_result, error)

        thread = JobThread(lambda: self._run_in_thread(queue, job_id), done)
        thread.start()
        while not ended.done():
            # Cancelled to abort the job, or because the worker ends: the job sees it for itself.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(ended)
        thread.wait()
        error = ended.result()
        if isinstance(error, CancelledError) and _asked_to_stop(queue):
            raise queue_errors.JobAborted from error
        if error is not None:
            raise error

    def _run_in_thread(self, queue: procrastinate.JobContext, job_id: int) -> None:
        """The whole of one job, in its thread."""

        def interrupted() -> bool:
            return self._ending.is_set() or queue.abort_reason() is AbortReason.SHUTDOWN

        def take_up(session: Session) -> agent_jobs.Task | None:
            if job_id in self._to_put_back:
                agent_jobs.put_back(session, job_id)
            return agent_jobs.take_up(session, job_id)

        task = persist(self._database, interrupted, take_up)
        self._to_put_back.discard(job_id)
        if task is None:
            return
        context = JobContext(
            task,
            self._host_id,
            self._config,
            self._database,
            self._keeper,
            self._reconciler,
            cancelled=lambda: task.cancel_requested or _asked_to_stop(queue),
            interrupted=interrupted,
        )
        with log.context(job=job_id, user=task.user, kind=task.kind, object=task.object_name):
            try:
                run_job(context)
            except JobInterruptedError:
                self._put_back(job_id)
                raise

    def _put_back(self, job_id: int) -> None:
        try:
            with self._database.begin() as session:
                agent_jobs.put_back(session, job_id)
        except (HinderedError, UnreachableError) as error:
            self._to_put_back.add(job_id)
            _log.warning("job %s is put back when the database answers again: %s", job_id, error)


async def _end_tasks() -> None:
    """Cancel what still runs on this loop, again and again until it has ended.

    A worker of the connection pool that is cancelled while it connects forgets that and goes on;
    asyncio's own end cancels once, and would wait for it for ever.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    while others:
        for task in others:
            task.cancel()
        _, others = await asyncio.wait(others, timeout=0.2)


def _asked_to_stop(queue: procrastinate.JobContext) -> bool:
    return queue.abort_reason() is AbortReason.USER_REQUEST
