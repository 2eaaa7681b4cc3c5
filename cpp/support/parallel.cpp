#include "support/parallel.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace maskmill {
namespace {

struct Job {
    size_t tasks;
    const std::function<void(size_t)>* task;
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::condition_variable finished;
    size_t done = 0;  // tasks that have ended, under mutex
    size_t failed_task = std::numeric_limits<size_t>::max();
    std::exception_ptr failure;

    void work() {
        size_t ended = 0;
        for (size_t i = next.fetch_add(1); i < tasks; i = next.fetch_add(1)) {
            try {
                (*task)(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (i < failed_task) {
                    failed_task = i;
                    failure = std::current_exception();
                }
            }
            ++ended;
        }
        if (ended > 0) {
            const std::lock_guard lock(mutex);
            done += ended;
            if (done == tasks) finished.notify_all();
        }
    }

    void wait() {
        std::unique_lock lock(mutex);
        finished.wait(lock, [&] { return done == tasks; });
    }
};

class Pool {
  public:
    void submit(const std::shared_ptr<Job>& job, size_t helpers) {
        {
            const std::lock_guard lock(mutex_);
            while (threads_ < helpers) {
                // A detached thread needs no owner: at exit the process takes it along.
                try {
                    std::thread([this] { run(); }).detach();
                } catch (const std::system_error&) {
                    break;  // no more threads to be had: the caller does the work
                }
                ++threads_;
            }
            for (size_t i = 0; i < helpers; ++i) queue_.push_back(job);
        }
        helpers == 1 ? wake_.notify_one() : wake_.notify_all();
    }

  private:
    void run() {
        for (;;) {
            std::shared_ptr<Job> job;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return !queue_.empty(); });
                job = std::move(queue_.front());
                queue_.pop_front();
            }
            job->work();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::shared_ptr<Job>> queue_;
    size_t threads_ = 0;
};

// Never destroyed: its threads may still sleep in it when static destructors run.
std::atomic<Pool*> the_pool{nullptr};
std::atomic<int> wanted_threads{0};

Pool& pool() {
    Pool* found = the_pool.load(std::memory_order_acquire);
    if (found != nullptr) return *found;
#if !defined(_WIN32)
    static std::once_flag registered;
    std::call_once(registered, [] { pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr); }); });
#endif
    Pool* made = new Pool;
    if (the_pool.compare_exchange_strong(found, made)) return *made;
    delete made;
    return *found;
}

int cpu_count() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int thread_count() {
    const int wanted = wanted_threads.load(std::memory_order_relaxed);
    if (wanted > 0) return wanted;
    static const int cpus = cpu_count();
    return cpus;
}

void set_thread_count(int n) { wanted_threads.store(std::max(0, n)); }

void parallel_run(size_t tasks, const std::function<void(size_t)>& task) {
    const size_t helpers = std::min(static_cast<size_t>(thread_count()), tasks) - (tasks > 0);
    if (tasks == 0) return;
    if (helpers == 0) {
        for (size_t i = 0; i < tasks; ++i) task(i);
        return;
    }
    // Shared with the helpers: one that wakes late finds no task left, but must still find the job.
    auto job = std::make_shared<Job>();
    job->tasks = tasks;
    job->task = &task;
    pool().submit(job, helpers);
    job->work();
    job->wait();
    if (job->failure) std::rethrow_exception(job->failure);
}

}  // namespace maskmill
