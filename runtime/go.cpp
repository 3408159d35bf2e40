#include "runtime/go.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>
#include <thread>

#include "runtime/check.h"
#include "runtime/scheduler_state.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

namespace {

char* align_down(char* address, std::size_t alignment) {
    return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(address) & ~(alignment - 1));
}

// The worker of this thread if it is one of this scheduler's.
Worker* worker_of(const Scheduler& scheduler) {
    Worker* const worker = Worker::here();
    return worker != nullptr && &worker->scheduler() == &scheduler ? worker : nullptr;
}

std::int64_t clock_of(const Worker* worker, const Scheduler::State& state) {
    if (worker != nullptr) return worker->clock();
    return state.options.virtual_time ? state.virtual_now.load(std::memory_order_relaxed)
                                      : steady_now().time_since_epoch().count();
}

void print_uncaught(const Task& task, const char* what) {
    std::fprintf(stderr, "task %llu, spawned at %s:%u, ended by an exception: %s\n",
                 static_cast<unsigned long long>(task.id.load()), task.file.load(), task.line.load(), what);
}

}  // namespace

// Not inlined: the task's frame stays small, and a worker found here is the present one.
[[gnu::noinline]] void detail::report_uncaught(Task& task) {
    Worker::here()->stats.uncaught.add();
    const Options& options = task.scheduler->options();
    if (options.on_exception != nullptr) {
        options.on_exception(std::current_exception(), task);
    } else {
        try {
            throw;
        } catch (const std::exception& e) {
            print_uncaught(task, e.what());
        } catch (...) {
            print_uncaught(task, "not a std::exception");
        }
    }
    if (options.abort_on_exception) std::abort();
}

namespace {

void task_main() {
    Worker::here()->arrived();
    Task* const self = current_task();
    self->newborn = false;
    if (self->group != nullptr) {
        self->group->run_member(*self);
    } else {
        try {
            self->body(self->closure);
        } catch (...) {
            detail::report_uncaught(*self);
        }
    }
    Worker::here()->leave(self, Worker::After::exit, true);
}

void make_ready_to_run(Task& task, void (*body)(void*)) {
    task.body = body;
    task.newborn = true;
    make_context(task.context, task.stack_bottom, align_down(static_cast<char*>(task.closure), 16),
                 &task_main);
}

}  // namespace

namespace detail {

Embryo prepare(Scheduler* scheduler, SpawnOptions options, std::size_t size, std::size_t align,
               const std::source_location& where) {
    if (scheduler == nullptr) scheduler = Scheduler::current();
    SLUICE_CHECK(scheduler != nullptr, "go() is for tasks; other threads use Scheduler::spawn()");
    Worker* const worker = worker_of(*scheduler);
    Scheduler::State& state = scheduler->state();
    const auto stack_class = static_cast<unsigned>(options.stack);
    Task* task = nullptr;
    if (worker != nullptr) {
        task = worker->take_stack(stack_class);
    } else {
        state.stacks.take(stack_class, std::span(&task, 1));
    }
    task->scheduler = scheduler;
    task->closure = align_down(reinterpret_cast<char*>(task) - size, std::max<std::size_t>(align, 16));
    task->file.store(where.file_name(), std::memory_order_relaxed);
    task->line.store(where.line(), std::memory_order_relaxed);
    task->since.store(clock_of(worker, state), std::memory_order_relaxed);
    task->cancel_requested.store(0, std::memory_order_relaxed);
    task->group = options.group;
    task->cancellable = options.group != nullptr;
    task->deadline = options.group != nullptr ? this_task::deadline() : kNever;
    task->id.store(worker != nullptr ? worker->next_id() : state.next_id.fetch_add(1),
                   std::memory_order_relaxed);
    return {task, task->closure};
}

void launch(Task* task, void (*body)(void*), bool may_yield) {
    make_ready_to_run(*task, body);
    Worker* worker = worker_of(*task->scheduler);
    if (worker == nullptr) {
        Scheduler::State& state = task->scheduler->state();
        state.spawned_outside.fetch_add(1, std::memory_order_release);
        TaskList list;
        list.push(task);
        return state.inject(std::move(list));
    }
    // Counted before anything may park: the task exists, though nobody can run it yet.
    worker->stats.spawned.add();
    if (may_yield && worker->current() != nullptr && worker->crowded()) {
        this_task::yield();
        worker = Worker::here();
    }
    worker->wake(task);
}

void abandon(Task* task) noexcept {
    task->id.store(0, std::memory_order_relaxed);
    if (Worker* const worker = worker_of(*task->scheduler)) return worker->give_stack(task);
    task->scheduler->state().stacks.give(task->stack_class, std::span(&task, 1));
}

}  // namespace detail

bool start_dormant(Scheduler& scheduler, Dormant& dormant) {
    const auto wake = [d = &dormant] { d->wake(*d, d->why); };
    try {
        detail::start<detail::Closure<decltype(wake)>>(&scheduler, SpawnOptions{},
                                                       std::source_location::current(), wake);
    } catch (const std::bad_alloc&) {
        return false;
    }
    return true;
}

void deliver(Scheduler& scheduler, Woken& woken) {
    if (Worker* const worker = worker_of(scheduler)) return worker->take_in(woken);
    if (!woken.tasks.empty()) scheduler.state().inject(std::move(woken.tasks));
    while (Dormant* const dormant = woken.dormants) {
        woken.dormants = dormant->next;
        while (!start_dormant(scheduler, *dormant)) std::this_thread::sleep_for(kStackPatience);
    }
}

}  // namespace sluice::runtime
