#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "service/admin/stats.h"
#include "tests/service/admin/example_stats.h"

namespace sluice::admin {
namespace {

struct Sample {
    std::string name;
    std::map<std::string, std::string> labels;
    double value = 0;
};

struct Family {
    std::string type;
    std::vector<Sample> samples;
};

// A strict reader of the text format 0.0.4: anything that Prometheus might stumble over throws.
class Reader {
  public:
    static std::map<std::string, Family> read(const std::string& text) {
        Reader reader;
        if (!text.ends_with('\n')) throw std::runtime_error("no newline at the end");
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) reader.take(line);
        return reader.families_;
    }

  private:
    void take(const std::string& line) {
        static const std::regex kHelp("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .+"),
            kType("# TYPE (\\S+) (counter|gauge|histogram)");
        static const std::regex kSample("([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(.*)\\})? (\\S+)");
        std::smatch match;
        if (std::regex_match(line, match, kHelp)) {
            if (!families_.try_emplace(match[1]).second) throw std::runtime_error("announced twice: " + line);
            current_ = match[1];
        } else if (std::regex_match(line, match, kType)) {
            if (match[1] != current_ || !families_[current_].type.empty())
                throw std::runtime_error("type: " + line);
            families_[current_].type = match[2];
        } else if (std::regex_match(line, match, kSample)) {
            take_sample(line, match);
        } else {
            throw std::runtime_error("cannot be read: " + line);
        }
    }

    void take_sample(const std::string& line, const std::smatch& match) {
        Family& family = families_.at(current_);
        std::string name = match[1];
        if (family.type.empty()) throw std::runtime_error("before its type: " + line);
        if (family.type == "histogram")
            name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
        if (name != current_) throw std::runtime_error("not of its family: " + line);
        if (family.type == "counter" && !name.ends_with("_total"))
            throw std::runtime_error("counter's name: " + line);
        std::size_t read = 0;
        const std::string value = match[3];
        Sample sample{match[1], labels(match[2]), std::stod(value, &read)};
        if (read != value.size()) throw std::runtime_error("value: " + line);
        if (!seen_.insert(sample.name + "{" + std::string(match[2])).second)
            throw std::runtime_error("twice: " + line);
        family.samples.push_back(std::move(sample));
    }

    static std::map<std::string, std::string> labels(std::string text) {
        static const std::regex kLabel(
            "^([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\\\n]|\\\\[\\\\\"n])*)\"(,|$)");
        std::map<std::string, std::string> labels;
        for (std::smatch match; !text.empty(); text = match.suffix()) {
            if (!std::regex_search(text, match, kLabel)) throw std::runtime_error("labels: " + text);
            labels[match[1]] = match[2];
        }
        return labels;
    }

    std::map<std::string, Family> families_;
    std::set<std::string> seen_;
    std::string current_;
};

double value(const Family& family, const std::map<std::string, std::string>& labels) {
    for (const Sample& sample : family.samples) {
        if (std::ranges::includes(sample.labels, labels)) return sample.value;
    }
    throw std::runtime_error("no such sample");
}

TEST(Metrics, AreInTheFormatOfPrometheus) {
    EXPECT_NO_THROW(Reader::read(to_prometheus(example_stats())));
    EXPECT_NO_THROW(Reader::read(to_prometheus(Stats())));
}

TEST(Metrics, TellTheFiguresThatWereCounted) {
    auto families = Reader::read(to_prometheus(example_stats()));
    EXPECT_EQ(value(families["sluice_requests_total"], {{"limit", "per-ip"}, {"outcome", "limited"}}), 20);
    EXPECT_EQ(value(families["sluice_responses_total"], {{"code", "429"}}), 20);
    EXPECT_EQ(value(families["sluice_verdicts_total"], {{"verdict", "allowed"}}), 100);
    EXPECT_EQ(value(families["sluice_upstream_requests_total"], {{"server", "127.0.0.1:3000"}}), 100);
    EXPECT_EQ(value(families["sluice_upstream_healthy"], {{"server", "127.0.0.1:3000"}}), 1);
    EXPECT_EQ(value(families["sluice_upstream_healthy"], {{"server", "127.0.0.1:3001"}}), 0);
    EXPECT_EQ(value(families["sluice_upstream_ejected"], {{"server", "127.0.0.1:3000"}}), 0);
    EXPECT_EQ(value(families["sluice_upstream_ejected"], {{"server", "127.0.0.1:3001"}}), 1);
    EXPECT_EQ(value(families["sluice_upstream_ejections_total"], {{"server", "127.0.0.1:3001"}}), 2);
    EXPECT_EQ(value(families["sluice_upstream_checks_failed_total"], {{"server", "127.0.0.1:3001"}}), 4);
    EXPECT_EQ(value(families["sluice_clients_evicted_total"], {{"reason", "full"}}), 3);
    EXPECT_EQ(value(families["sluice_clients"], {}), 4);
    EXPECT_EQ(value(families["sluice_ready"], {}), 1);
    EXPECT_EQ(value(families["sluice_janitor_sweeps_total"], {}), 1);
    EXPECT_EQ(value(families["sluice_runtime_tasks"], {}), 9);
    EXPECT_EQ(value(families["sluice_runtime_stale_workers_total"], {}), 3);
    EXPECT_EQ(value(families["sluice_runtime_scheduling_delay_seconds"], {{"le", "5e-06"}}), 99);
    EXPECT_EQ(value(families["process_open_fds"], {}), 17);
}

TEST(Metrics, TheStartCountsAsAReloadThatSucceeded) {
    auto families = Reader::read(to_prometheus(example_stats()));
    EXPECT_EQ(value(families["sluice_config_reloads_total"], {{"outcome", "ok"}}), 3);
    EXPECT_EQ(value(families["sluice_config_reloads_total"], {{"outcome", "failed"}}), 2);
    EXPECT_EQ(value(families["sluice_config_last_reload_successful"], {}), 0);
    EXPECT_EQ(value(families["sluice_config_last_reload_success_timestamp_seconds"], {}), 1795478400.5);
    Stats started;
    started.reloads.in_force_since = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24);
    families = Reader::read(to_prometheus(started));
    EXPECT_EQ(value(families["sluice_config_last_reload_successful"], {}), 1);
    EXPECT_EQ(value(families["sluice_config_last_reload_success_timestamp_seconds"], {}), 1795478400);
}

TEST(Metrics, EscapeWhatALabelMayNotHold) {
    auto families = Reader::read(to_prometheus(example_stats()));
    EXPECT_EQ(value(families["sluice_requests_total"],
                    {{"limit", R"(odd \"name\"\\\n)"}, {"outcome", "shadow_limited"}}),
              7);
}

TEST(Metrics, HistogramBucketsRiseToTheCount) {
    auto families = Reader::read(to_prometheus(example_stats()));
    unsigned histograms = 0;
    for (const auto& [name, family] : families) {
        if (family.type != "histogram") continue;
        ++histograms;
        double before = 0, bound_before = 0;
        std::map<std::string, double> parts;
        for (const Sample& sample : family.samples) {
            if (!sample.name.ends_with("_bucket")) {
                parts[sample.name.substr(name.size())] = sample.value;
                continue;
            }
            const double bound = std::stod(sample.labels.at("le"));
            EXPECT_GT(bound, bound_before) << name;
            EXPECT_GE(sample.value, before) << name;
            before = sample.value, bound_before = bound;
        }
        EXPECT_EQ(bound_before, std::numeric_limits<double>::infinity()) << name;
        EXPECT_EQ(before, parts.at("_count")) << name;
        EXPECT_GT(parts.at("_sum"), 0) << name;
    }
    EXPECT_EQ(histograms, 3u);
}

TEST(Metrics, DurationsAreCountedInTheirBuckets) {
    auto families = Reader::read(to_prometheus(example_stats()));
    const Family& all = families["sluice_request_duration_seconds"];
    EXPECT_EQ(value(all, {{"le", "1e-05"}}), 0);
    EXPECT_EQ(value(all, {{"le", "2.5e-05"}}), 20);
    EXPECT_EQ(value(all, {{"le", "0.001"}}), 20);
    EXPECT_EQ(value(all, {{"le", "0.0025"}}), 120);
    const Family& forwarded = families["sluice_upstream_request_duration_seconds"];
    EXPECT_EQ(value(forwarded, {{"le", "0.001"}}), 0);
    EXPECT_EQ(value(forwarded, {{"le", "+Inf"}}), 100);
}

}  // namespace
}  // namespace sluice::admin
