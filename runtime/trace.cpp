#include "runtime/trace.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <utility>

#include "runtime/blocking.h"
#include "runtime/scheduler_state.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

namespace {

using Kind = TraceEvent::Kind;

std::string_view name_of(Kind kind) {
    switch (kind) {
        case Kind::park: return "park";
        case Kind::yield: return "yield";
        case Kind::exit: return "exit";
        case Kind::steal: return "steal";
        case Kind::sleep: return "sleep";
    }
    return "unknown";
}

// Writes the events of all workers as one JSON object, times in microseconds since the trace began.
class Writer {
  public:
    explicit Writer(Time start) : start_(start) {}

    void worker(unsigned index, const std::vector<TraceEvent>& events) {
        begin("M", "thread_name", index);
        text_ += R"(,"args":{"name":"worker )" + std::to_string(index) + "\"}}";
        for (const TraceEvent& event : events) {
            switch (event.kind) {
                case Kind::park:
                    run(index, event);
                    instant(index, event, name(event.reason));
                    break;
                case Kind::yield:
                case Kind::exit: run(index, event); break;
                case Kind::steal: instant(index, event, "from worker " + std::to_string(event.task)); break;
                case Kind::sleep:
                    begin("X", "sleep", index);
                    times(event);
                    text_ += '}';
                    break;
            }
        }
    }

    std::string take() { return std::move(text_) + "]}\n"; }

  private:
    void begin(std::string_view phase, std::string_view what, unsigned worker) {
        text_.append(first_ ? "\n" : ",\n").append(R"({"ph":")").append(phase);
        text_.append(R"(","pid":1,"tid":)").append(std::to_string(worker)).append(R"(,"name":")");
        append_escaped(what);
        text_ += '"';
        first_ = false;
    }

    void times(const TraceEvent& event) {
        append(",\"ts\":%.3f", event.began);
        char buffer[40];
        std::snprintf(buffer, sizeof buffer, ",\"dur\":%.3f",
                      static_cast<double>((event.ended - event.began).count()) / 1000);
        text_ += buffer;
    }

    void run(unsigned worker, const TraceEvent& event) {
        std::string_view file(event.file != nullptr ? event.file : "?");
        file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
        begin("X", std::string(file) + ':' + std::to_string(event.line), worker);
        times(event);
        text_.append(R"(,"cat":"run","args":{"task":)").append(std::to_string(event.task));
        text_.append(R"(,"then":")").append(name_of(event.kind)).append("\"}}");
    }

    void instant(unsigned worker, const TraceEvent& event, std::string_view what) {
        begin("i", name_of(event.kind), worker);
        append(R"(,"s":"t","ts":%.3f)", event.ended);
        text_.append(R"(,"args":{"what":")");
        append_escaped(what);
        text_.append("\"}}");
    }

    void append(const char* format, Time time) {
        char buffer[64];
        std::snprintf(buffer, sizeof buffer, format, static_cast<double>((time - start_).count()) / 1000);
        text_ += buffer;
    }

    void append_escaped(std::string_view text) {
        for (const char c : text) {
            if (c == '"' || c == '\\') text_ += '\\';
            text_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
        }
    }

    const Time start_;
    std::string text_ = R"({"displayTimeUnit":"ns","traceEvents":[)";
    bool first_ = true;
};

}  // namespace

void TraceRing::start(std::size_t events) {
    std::vector<TraceEvent> room(events);
    std::lock_guard lock(lock_);
    events_.swap(room);
    added_ = 0;
    on_.store(true, std::memory_order_relaxed);
}

void TraceRing::add(const TraceEvent& event) {
    std::lock_guard lock(lock_);
    if (events_.empty()) return;  // stopped meanwhile
    events_[added_++ % events_.size()] = event;
}

std::vector<TraceEvent> TraceRing::stop() {
    std::vector<TraceEvent> events;
    std::size_t added = 0;
    {
        std::lock_guard lock(lock_);
        on_.store(false, std::memory_order_relaxed);
        events.swap(events_);
        added = std::exchange(added_, 0);
    }
    if (added > events.size()) {
        std::ranges::rotate(events, events.begin() + static_cast<std::ptrdiff_t>(added % events.size()));
    } else {
        events.resize(added);
    }
    return events;
}

std::optional<std::string> trace(Scheduler& scheduler, Duration duration) {
    Scheduler::State& state = scheduler.state();
    if (state.traced.exchange(true, std::memory_order_acquire)) return std::nullopt;
    struct Ended {  // also when there is no memory for it
        Scheduler::State& state;
        ~Ended() {
            for (const auto& worker : state.workers) worker->trace.stop();
            state.traced.store(false, std::memory_order_release);
        }
    };
    std::vector<std::vector<TraceEvent>> events;
    const Time start = steady_now();
    {
        const Ended ended{state};
        for (const auto& worker : state.workers) worker->trace.start(kTraceEvents / state.workers.size());
        this_task::sleep_for(duration);
        for (const auto& worker : state.workers) events.push_back(worker->trace.stop());
    }
    // Megabytes of text: not on a worker.
    return blocking([&] {
        Writer writer(start);
        for (unsigned i = 0; i < events.size(); ++i) writer.worker(i, events[i]);
        return writer.take();
    });
}

}  // namespace sluice::runtime
